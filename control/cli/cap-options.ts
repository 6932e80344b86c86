/** The options of the edge's caps; rows of the one table in `options.ts`. */
import { usualCaps, type CapLimits } from '../../gateway/limits/caps.ts'
import { readPositiveCount, readDuration } from './option-values.ts'
import type { OptionTable } from './options.ts'

/** A second or more. @throws Error */
function readHeaderTime(raw: unknown): number {
  const ms = readDuration(raw)
  if (ms < 1000) throw new Error(`${JSON.stringify(raw)} is less than 1s`)
  return ms
}

const cap = <const Name extends Exclude<keyof CapLimits, 'headMs'>>(name: Name, describe: string) =>
  ({ describe, initial: String(usualCaps[name]), read: readPositiveCount }) as const

export const capOptions = {
  'max-requests-per-user': cap('userRequests', 'Requests of one user in flight at once'),
  'max-sockets-per-user': cap('userSockets', 'WebSockets that one user may have open'),
  'max-upgrades-per-user': cap(
    'userUpgrades',
    'WebSockets that one user may open a second; ten times as many at once',
  ),
  'max-requests-per-workspace': cap('workspaceRequests', 'Requests to one workspace in flight at once'),
  'max-sockets-per-workspace': cap('workspaceSockets', 'WebSockets that one workspace may have open'),
  'max-upgrades-per-workspace': cap(
    'workspaceUpgrades',
    'WebSockets opened to one workspace a second; ten times as many at once',
  ),
  'max-connections-per-address': cap(
    'addressConnections',
    'Connections of one address, trusted proxies left out, on which nobody has signed in',
  ),
  'max-header-time': {
    describe: 'How long the head of a request may take; a connection that says nothing is kept no longer',
    initial: '20s',
    read: readHeaderTime,
  },
} as const satisfies OptionTable

/** The caps as the gateway takes them. */
export const capsOf = (config: {
  readonly maxRequestsPerUser: number
  readonly maxSocketsPerUser: number
  readonly maxUpgradesPerUser: number
  readonly maxRequestsPerWorkspace: number
  readonly maxSocketsPerWorkspace: number
  readonly maxUpgradesPerWorkspace: number
  readonly maxConnectionsPerAddress: number
  readonly maxHeaderTime: number
}): CapLimits => ({
  userRequests: config.maxRequestsPerUser,
  userSockets: config.maxSocketsPerUser,
  userUpgrades: config.maxUpgradesPerUser,
  workspaceRequests: config.maxRequestsPerWorkspace,
  workspaceSockets: config.maxSocketsPerWorkspace,
  workspaceUpgrades: config.maxUpgradesPerWorkspace,
  addressConnections: config.maxConnectionsPerAddress,
  headMs: config.maxHeaderTime,
})
