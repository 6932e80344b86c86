/** `GET /api/v1/events` (WebSocket): what a person may see, by revision; each message is a level, never a delta. */
import { z } from 'zod'
import type { AccessRequestView } from './access-requests.ts'
import type { HostView } from './account.ts'
import type { Limits, TimelineEvent, WorkspaceView } from './workspace.ts'

/**
 * After connecting with `?since=<revision>`, the server sends what changed after it (everything for 0), then `live`,
 * then changes as they come. On `resync` the client forgets its revision and connects anew.
 */
export type StreamMessage =
  | { readonly type: 'workspace'; readonly revision: number; readonly workspace: WorkspaceView }
  | { readonly type: 'workspace-gone'; readonly revision: number; readonly id: string }
  | { readonly type: 'timeline'; readonly revision: number; readonly event: TimelineEvent }
  | { readonly type: 'host'; readonly revision: number; readonly host: HostView }
  | { readonly type: 'host-gone'; readonly revision: number; readonly id: string }
  /** One that this reader may answer, or may no longer. */
  | { readonly type: 'access-request'; readonly revision: number; readonly request: AccessRequestView }
  | { readonly type: 'access-request-gone'; readonly revision: number; readonly id: string }
  /** One that this reader made; null: it is over. */
  | {
      readonly type: 'my-access-request'
      readonly revision: number
      readonly id: string
      readonly request: AccessRequestView | null
    }
  | { readonly type: 'limits'; readonly revision: number; readonly limits: Limits }
  | { readonly type: 'live'; readonly revision: number; readonly version: string }
  /** To who watches the audit: its newest rows are others now; they are read as ever. */
  | { readonly type: 'audit' }
  | { readonly type: 'resync' }

/** What a reader may send: of what else they want to be told. What isn't one of these is not heard. */
export const watchSchema = z.strictObject({ watch: z.array(z.enum(['audit'])).max(1) })
export type Watch = z.infer<typeof watchSchema>

export type StreamKind = StreamMessage['type']
