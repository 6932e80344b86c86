/** Which command a key means. Keys are offered only while nobody types; Ctrl+K and Escape always. */

export type Command =
  'find' | 'next' | 'previous' | 'enter' | 'create' | 'open' | 'toggle' | 'keys' | 'palette' | 'close'

/** The part of a keyboard event that decides. */
export interface KeyPress {
  readonly key: string
  readonly ctrlKey: boolean
  readonly metaKey: boolean
  readonly altKey: boolean
}

/** The keys as the help shows them, in the order of use. */
export const keyHelp: readonly { readonly keys: readonly string[]; readonly does: string }[] = [
  { keys: ['/'], does: 'Find' },
  { keys: ['j', 'k'], does: 'Next, previous in the list' },
  { keys: ['Enter'], does: 'Show the chosen one' },
  { keys: ['c'], does: 'Create a workspace' },
  { keys: ['o'], does: 'Open the workspace in a new tab' },
  { keys: ['s'], does: 'Start or stop the workspace' },
  { keys: ['Ctrl', 'K'], does: 'All places and actions' },
  { keys: ['?'], does: 'These keys' },
  { keys: ['Esc'], does: 'Close, or leave the field' },
]

const plain: Readonly<Record<string, Command>> = {
  '/': 'find',
  j: 'next',
  k: 'previous',
  Enter: 'enter',
  c: 'create',
  o: 'open',
  s: 'toggle',
  '?': 'keys',
}

/** `typing`: the focus is in a field; `dialog`: one is open, so only closing and the palette remain. */
export function commandOf(press: KeyPress, at: { typing: boolean; dialog: boolean }): Command | null {
  if ((press.ctrlKey || press.metaKey) && !press.altKey && press.key.toLowerCase() === 'k') return 'palette'
  if (press.key === 'Escape') return 'close'
  if (press.ctrlKey || press.metaKey || press.altKey || at.typing || at.dialog) return null
  return Object.hasOwn(plain, press.key) ? (plain[press.key] ?? null) : null
}
