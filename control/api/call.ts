/** What a route is given and what it gives: the whole of HTTP that a route sees. */
import type { Need, Person } from '../authorization/authorization.ts'
import type { Workspace } from '../store/workspaces.ts'
import type { AuditEntry } from '../store/audit.ts'
import type { AccessRole, AuditAction, NewSession, Origin } from '../wire/index.ts'

export interface Call {
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Parsed JSON, undefined when there was no body. */
  readonly body: unknown
  readonly origin: Origin
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal
  /** Of the dashboard session that the request came with, also on public routes; null: none that lives. */
  readonly sessionHash: string | null
  /** @throws Error on a public route: there is nobody to ask for. */
  readonly person: Person
  /** The workspace in the path, on routes about one. */
  readonly workspace: Workspace
  /** What the person is to it; null: they see it by office. */
  readonly role: AccessRole | null
}

export interface Reply {
  readonly status: number
  readonly body?: unknown
  /** Instead of `body`: sent as it comes, at the reader's pace. */
  readonly stream?: { readonly type: string; readonly fileName: string; readonly text: AsyncIterable<string> }
  /** Sets or clears the dashboard's session cookie. */
  readonly session?: NewSession | 'clear'
  /** Where the browser goes on to, to sign out at its provider too. */
  readonly signOutAt?: string
  /** What the audit says beyond what path and answer say; never a secret. */
  readonly audit?: {
    /** A more exact one than the route's. */
    readonly action?: AuditAction
    readonly object?: AuditEntry['object']
    readonly workspace?: AuditEntry['workspace']
    readonly details?: AuditEntry['details']
  }
}

/** One route: `key` is a row of the authorisation table. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  /** Bytes; absent: 1 MiB. */
  readonly bodyMax?: number
  /** Refuses before a large body is read. */
  admit?(headers: Call['headers']): Promise<void>
  run(call: Call): Promise<Reply>
}

export type Needs = Readonly<Record<string, Need>>
