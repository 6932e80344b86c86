/** What a person may do with a workspace, as the dashboard offers it and says it. The server decides by the same table. */
import {
  reaches,
  type AccessRole,
  type GrantRole,
  type HostCapability,
} from '../../../control/wire/access.ts'
import type { Role } from '../../../control/wire/account.ts'
import type { WorkspaceView } from '../../../control/wire/workspace.ts'
import type { Act } from './phase.ts'

const levels: Record<Exclude<Act, 'open'>, AccessRole> = {
  start: 'editor',
  stop: 'editor',
  restart: 'editor',
  trash: 'manager',
  restore: 'manager',
  purge: 'owner',
}

/** Whether an act is offered; `byOffice`: to an administrator, whatever they are to the workspace. */
export const mayAct = (act: Exclude<Act, 'open'>, role: AccessRole | null, byOffice: boolean): boolean =>
  byOffice || reaches(role, levels[act])

/** Whether the first port opens for this person. */
export function mayOpen({ spec, role }: Pick<WorkspaceView, 'spec' | 'role'>): boolean {
  const first = spec.ports[0]?.visibility
  if (first === undefined) return false
  if (first === 'members' || first === 'public' || reaches(role, 'editor')) return true
  return role === 'viewer' && first !== 'owner'
}

/** What a grant gives, as a sentence's end. */
export const grantText: Record<GrantRole, string> = {
  viewer: 'sees it and opens the ports that are shared',
  editor: 'also opens every port, starts and stops it',
  manager: 'also changes, shares and trashes it',
}

/** What a grant on a host lets a workspace do there. */
export const capabilityText: Record<HostCapability, string> = {
  create: 'workspaces are placed on it',
  gpu: 'they may have its GPUs',
  'bind-mounts': 'they may mount its folders',
  'host-network': 'they may have its own network',
}

/** What an account is for. */
export const roleText: Record<Role, string> = {
  member: 'has workspaces',
  auditor: 'reads everything, changes nothing',
  administrator: 'also looks after hosts and people',
}
