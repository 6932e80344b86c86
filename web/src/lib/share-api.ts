/** The part of the API's client that shares: aliases, the next owner, requests for access, the cap on sharing. */
import type { GrantRole, RestrictedKind } from '../../../control/wire/access.ts'
import type { GrantView } from '../../../control/wire/grants.ts'
import { paths } from '../../../control/wire/paths.ts'
import type { Settings } from '../../../control/wire/sharing.ts'
import type { Transfer, Transferred } from '../../../control/wire/transfer.ts'
import type { WorkspaceView } from '../../../control/wire/workspace.ts'
import { type Call, fill, type Page } from './call.ts'

export const shareApi = (call: Call) => ({
  addAlias: (id: string, given: { alias: string; port: number | null }) =>
    call<WorkspaceView>('POST', fill(paths.workspaceAliases, id), given),
  removeAlias: (id: string, alias: string) =>
    call<WorkspaceView>(
      'DELETE',
      fill(paths.workspaceAlias, id).replace(':alias', encodeURIComponent(alias)),
    ),
  transfer: (id: string, given: Transfer) =>
    call<Transferred>('POST', fill(paths.workspaceTransfer, id), given),
  /** For an hour, a day, or, with null, for ever. */
  grantRequest: (id: string, given: { role: GrantRole; forHours: 1 | 24 | null }) =>
    call<void>('POST', fill(paths.accessRequestGrant, id), given),
  declineRequest: (id: string) => call<void>('POST', fill(paths.accessRequestDecline, id)),
  /** What only the holders of a grant may use. */
  restrictions: (signal?: AbortSignal) =>
    call<Page<{ kind: RestrictedKind; id: string }>>('GET', paths.restrictions, undefined, signal),
  restrict: (kind: RestrictedKind, id: string) =>
    call<{ id: string }>('POST', paths.restrictions, { kind, id }),
  unrestrict: (kind: RestrictedKind, id: string) =>
    call<void>('DELETE', `${paths.restrictions}?kind=${kind}&id=${encodeURIComponent(id)}`),
  /** The grants that the person holds, alone or by a group. */
  myGrants: (signal?: AbortSignal) =>
    call<Page<GrantView>>('GET', `${paths.grants}?limit=500`, undefined, signal),
  settings: (signal?: AbortSignal) => call<Settings>('GET', paths.settings, undefined, signal),
  patchSettings: (given: Partial<Settings>) => call<Settings>('PATCH', paths.settings, given),
})
