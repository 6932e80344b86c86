/** Light, dark, or as the system says; kept in this browser. */
export type Theme = 'system' | 'light' | 'dark'

const KEY = 'postern-theme'

function kept(): Theme {
  try {
    const value = localStorage.getItem(KEY)
    return value === 'light' || value === 'dark' ? value : 'system'
  } catch {
    // Storage may be forbidden in this browser: the system's choice then stands.
    return 'system'
  }
}

class Appearance {
  theme: Theme = $state(kept())

  constructor() {
    this.#show()
  }

  choose(theme: Theme): void {
    this.theme = theme
    try {
      if (theme === 'system') localStorage.removeItem(KEY)
      else localStorage.setItem(KEY, theme)
    } catch {
      // Not kept, but it holds for this visit.
    }
    this.#show()
  }

  #show(): void {
    if (this.theme === 'system') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = this.theme
  }
}

/** The appearance of the page. */
export const appearance = new Appearance()
