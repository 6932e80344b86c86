/** Rows of the audit in a person's words, and the filters of its page as the query that the server takes. */
import { auditActions } from '../../../control/wire/actions.ts'
import type { AuditRow } from '../../../control/wire/audit.ts'
import type { Look } from './phase.ts'

/** What can be filtered by, in the page's URL and the API's alike. */
export const auditFilters = ['actor', 'action', 'object', 'workspace', 'outcome', 'since', 'until'] as const

/** Kinds of things that acts are about, as patterns: `workspace.*`. */
export const auditGroups: readonly string[] = [
  ...new Set(auditActions.map((action) => `${action.split('.')[0]}.*`)),
]

/** The filters that the page's URL names, as a query of the API. */
export function auditQuery(given: URLSearchParams): string {
  const query = new URLSearchParams()
  for (const name of auditFilters) {
    const value = given.get(name)?.trim() ?? ''
    if (value !== '') query.set(name, value)
  }
  return query.toString()
}

/** Rows that are shown, with what came newest first from the server after them. */
export interface AuditPages {
  readonly rows: readonly AuditRow[]
  /** The cursor of what is older; undefined: nothing is. */
  readonly next: string | undefined
}

/**
 * What is shown after the newest page was read again: rows of it replace those of the same id, what it no longer has is
 * gone, older ones stay. Where more is new than fits a page, only that page is left, so that nothing is missing between.
 */
export function withNewest(before: AuditPages, newest: AuditPages): AuditPages {
  const last = newest.rows.at(-1)
  if (newest.next === undefined || last === undefined) return newest
  const older = before.rows.filter(({ id }) => id < last.id)
  const touches = before.rows.some(({ id }) => id >= last.id)
  return touches && older.length > 0 ? { rows: [...newest.rows, ...older], next: before.next } : newest
}

/** How many rows of the newest page are newer than all that is shown. */
export function countNewer(shown: readonly AuditRow[], newest: readonly AuditRow[]): number {
  const first = shown[0]?.id ?? 0
  return newest.filter(({ id }) => id > first).length
}

/** `workspace.break-glass` → `workspace: break glass`. */
export function actWords(action: string): string {
  const [object = '', verb = ''] = action.split('.')
  return `${object.replaceAll('-', ' ')}: ${verb.replaceAll('-', ' ')}`
}

/** Who acted, and by what. */
export function actorWords({ actor }: AuditRow): string {
  const name =
    actor.name === '' ? { user: 'a former user', system: 'Postern' }[actor.kind as string] : actor.name
  const who =
    name ??
    (actor.kind === 'guest' ? 'a guest' : actor.kind === 'anonymous' ? 'nobody signed in' : actor.kind)
  return actor.via === null || actor.via.kind === 'session' ? who : `${who}, by a ${actor.via.kind}`
}

/** `ok`, or why not. */
export function outcomeWords({ outcome }: AuditRow): string {
  if (outcome === 'ok') return 'done'
  if (outcome === 'begun') return 'at work'
  return outcome === 'unknown' ? 'not known' : outcome.replaceAll('_', ' ')
}

/** How an outcome looks. */
export function outcomeLook({ outcome }: AuditRow): Look {
  if (outcome === 'ok') return 'ok'
  return outcome === 'begun' ? 'wait' : outcome === 'unknown' ? 'idle' : 'bad'
}
