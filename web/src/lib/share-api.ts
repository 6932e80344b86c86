/** The part of the API's client that shares: aliases, the next owner, requests for access, the cap on sharing. */
import type { GrantRole } from '../../../control/wire/access.ts'
import { paths } from '../../../control/wire/paths.ts'
import type { Settings, Transfer } from '../../../control/wire/sharing.ts'
import type { WorkspaceView } from '../../../control/wire/workspace.ts'
import { type Call, fill } from './call.ts'

export const shareApi = (call: Call) => ({
  addAlias: (id: string, given: { alias: string; port: number | null }) =>
    call<WorkspaceView>('POST', fill(paths.workspaceAliases, id), given),
  removeAlias: (id: string, alias: string) =>
    call<WorkspaceView>(
      'DELETE',
      fill(paths.workspaceAlias, id).replace(':alias', encodeURIComponent(alias)),
    ),
  transfer: (id: string, given: Transfer) =>
    call<WorkspaceView>('POST', fill(paths.workspaceTransfer, id), given),
  /** For an hour, a day, or, with null, for ever. */
  grantRequest: (id: string, given: { role: GrantRole; forHours: 1 | 24 | null }) =>
    call<void>('POST', fill(paths.accessRequestGrant, id), given),
  declineRequest: (id: string) => call<void>('POST', fill(paths.accessRequestDecline, id)),
  settings: (signal?: AbortSignal) => call<Settings>('GET', paths.settings, undefined, signal),
  patchSettings: (given: Partial<Settings>) => call<Settings>('PATCH', paths.settings, given),
})
