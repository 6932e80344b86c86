/** The time as the page shows it: moves once a second while the page is seen. */
class Clock {
  nowMs = $state(Date.now())

  constructor() {
    setInterval(() => {
      if (document.visibilityState === 'visible') this.nowMs = Date.now()
    }, 1000)
  }
}

/** The clock of the page. */
export const clock = new Clock()
