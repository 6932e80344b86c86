// Pure. The closed sets that lines and metrics name things by: classes of routes, causes of an end, kinds of status.
import { apiCodes } from '../../control/wire/index.ts'

/** What a request was for, as a number: it is kept and counted by for each request. */
export const RouteClass = {
  /** A request for a workspace's port. */
  proxy: 0,
  /** A WebSocket to a workspace's port. */
  upgrade: 1,
  /** The dashboard's pages and files. */
  dashboard: 2,
  /** The API, its sockets and agents included. */
  api: 3,
  /** The edge's own pages, sign-in, hand-off, health. */
  own: 4,
  /** A front's question on the forward-auth listener. */
  forwardAuth: 5,
} as const
export type RouteClass = (typeof RouteClass)[keyof typeof RouteClass]

/** The names of the classes, by their numbers. */
export const classNames = ['proxy', 'upgrade', 'dashboard', 'api', 'own', 'forward_auth'] as const

/** Ways to end that are no code of the API; '': what was asked for was given, whatever its status. */
const ownCauses = ['', 'aborted', 'cut', 'revoked'] as const

/** Why a request ended as it did: '', the visitor went away, the app's answer broke off, a right was lost, or a code. */
export const causes: readonly string[] = [...ownCauses, ...Object.keys(apiCodes)]

const numbers: ReadonlyMap<string, number> = new Map(causes.map((cause, at) => [cause, at]))

/** The place of a cause in `causes`; one that isn't there counts as `internal`. */
export function causeNumber(cause: string): number {
  return cause === '' ? 0 : (numbers.get(cause) ?? (numbers.get('internal') as number))
}

/** Status by its first digit; `none`: the connection ended before a head was sent. */
export const statusKinds = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const

/** The place of a status in `statusKinds`. */
export function statusKind(status: number): number {
  return status >= 100 && status < 600 ? (status / 100) | 0 : 0
}
