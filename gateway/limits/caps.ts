// Who asks for how much comes in, with the time; whether it may begin, or the code of the cap that it meets, goes out.
import { networkOf } from '../../control/wire/index.ts'
import { type HeldUse, type Level, levelOf, NOTHING, type UseKind, useKinds } from './shared-uses.ts'

/** The most that may be open at once or begin in a second; a burst of ten seconds' worth of upgrades is let through. */
export interface CapLimits {
  /** Requests in flight, of one user; of one address, where nobody is signed in. */
  readonly userRequests: number
  readonly userSockets: number
  readonly userUpgrades: number
  readonly workspaceRequests: number
  readonly workspaceSockets: number
  readonly workspaceUpgrades: number
  /** Connections of one address on which nobody has proved who they are. */
  readonly addressConnections: number
  /** How long the head of a request may take, in ms; so long may a connection say nothing. */
  readonly headMs: number
}

/**
 * Well above what a person does: a browser keeps 6 connections a host, or 128 streams through an HTTP/2 front, and loads
 * a dev server's thousand modules over those. One user's share is a part of a workspace's, so that nobody fills it alone.
 */
export const usualCaps: CapLimits = {
  userRequests: 400,
  userSockets: 1000,
  userUpgrades: 200,
  workspaceRequests: 2000,
  workspaceSockets: 4000,
  workspaceUpgrades: 400,
  addressConnections: 1000,
  headMs: 20_000,
}

/** What somebody or something has open. */
export interface Use {
  requests: number
  sockets: number
  connections: number
  /** The same in other workers of this gateway, as they said last. */
  elsewhere: Level
  /** What they know of this one. */
  told: Level
  /** Those of the connections that are beyond the cap, the oldest first; null: none yet. */
  over: Set<{ end(): void }> | null
  /** Upgrades that may still begin at once. */
  upgradesLeft: number
  upgradesAtMs: number
  /** Those that began here since the other workers were told. */
  upgradesUntold: number
}

/** Codes of the API that say which cap was met. */
export type CapCode =
  | 'user_requests_capped'
  | 'user_sockets_capped'
  | 'user_upgrades_capped'
  | 'workspace_requests_capped'
  | 'workspace_sockets_capped'
  | 'workspace_upgrades_capped'
  | 'address_capped'
  | 'pipeline_capped'

const BURST_SECONDS = 10

const newUse = (): Use => ({
  requests: 0,
  sockets: 0,
  connections: 0,
  elsewhere: NOTHING,
  told: NOTHING,
  over: null,
  upgradesLeft: Number.POSITIVE_INFINITY,
  upgradesAtMs: 0,
  upgradesUntold: 0,
})

const isUnused = (use: Use, nowMs: number): boolean =>
  use.requests + use.sockets + use.connections === 0 &&
  use.elsewhere === NOTHING &&
  use.told === NOTHING &&
  nowMs - use.upgradesAtMs > BURST_SECONDS * 1000

/** True when one more upgrade may begin now. */
function hasUpgrade(use: Use, perSecond: number, nowMs: number): boolean {
  const most = perSecond * BURST_SECONDS
  const gained = ((nowMs - use.upgradesAtMs) / 1000) * perSecond
  use.upgradesLeft = Math.min(most, Math.max(0, use.upgradesLeft + gained))
  use.upgradesAtMs = nowMs
  return use.upgradesLeft >= 1
}

/** The place of one request or socket among those that are counted; given back once. */
export class Seat {
  readonly #user: Use
  readonly #workspace: Use
  readonly #kind: 'requests' | 'sockets'
  #isTaken = true

  constructor(user: Use, workspace: Use, kind: 'requests' | 'sockets') {
    this.#user = user
    this.#workspace = workspace
    this.#kind = kind
    user[kind]++
    workspace[kind]++
  }

  leave(): void {
    if (!this.#isTaken) return
    this.#isTaken = false
    this.#user[this.#kind]--
    this.#workspace[this.#kind]--
  }
}

/** All that is counted in one gateway. */
export class Caps {
  readonly limits: CapLimits
  readonly #users = new Map<string, Use>()
  readonly #workspaces = new Map<string, Use>()
  readonly #addresses = new Map<string, Use>()

  constructor(limits: CapLimits) {
    this.limits = limits
  }

  /**
   * A place for a request, or for a socket until its end; or the cap that is met. `userId` '' counts by the address,
   * `workspaceId` '' for no workspace: the dashboard and the API.
   */
  take(userId: string, ip: string, workspaceId: string, isUpgrade: boolean, nowMs: number): Seat | CapCode {
    const { limits } = this
    const user = userId === '' ? this.address(ip) : useOf(this.#users, userId)
    const workspace = workspaceId === '' ? newUse() : useOf(this.#workspaces, workspaceId)
    if (!isUpgrade) {
      if (user.requests + user.elsewhere.requests >= limits.userRequests)
        return userId === '' ? 'address_capped' : 'user_requests_capped'
      if (workspace.requests + workspace.elsewhere.requests >= limits.workspaceRequests)
        return 'workspace_requests_capped'
      return new Seat(user, workspace, 'requests')
    }
    if (user.sockets + user.elsewhere.sockets >= limits.userSockets)
      return userId === '' ? 'address_capped' : 'user_sockets_capped'
    if (workspace.sockets + workspace.elsewhere.sockets >= limits.workspaceSockets)
      return 'workspace_sockets_capped'
    if (!hasUpgrade(user, limits.userUpgrades, nowMs))
      return userId === '' ? 'address_capped' : 'user_upgrades_capped'
    if (!hasUpgrade(workspace, limits.workspaceUpgrades, nowMs)) return 'workspace_upgrades_capped'
    user.upgradesLeft--
    user.upgradesUntold++
    workspace.upgradesLeft--
    workspace.upgradesUntold++
    return new Seat(user, workspace, 'sockets')
  }

  /** What an address has open on which nobody is signed in. */
  address(ip: string): Use {
    return useOf(this.#addresses, networkOf(ip))
  }

  /** What the others of `workers` shall know and don't yet; it counts as told. */
  tell(workers: number): HeldUse[] {
    const rows: HeldUse[] = []
    for (const of of useKinds) {
      const most = this.#mostOf(of)
      for (const [key, use] of this.#usesOf(of)) {
        const level = levelOf(use, most, workers)
        const { told } = use
        const isNews =
          level.requests !== told.requests ||
          level.sockets !== told.sockets ||
          level.connections !== told.connections
        const upgrades =
          use.upgradesUntold * 4 * workers < most.upgrades * BURST_SECONDS ? 0 : use.upgradesUntold
        if (!isNews && upgrades === 0) continue
        use.told = level
        use.upgradesUntold -= upgrades
        rows.push({ of, key, ...level, upgrades })
      }
    }
    return rows
  }

  /** Takes what all other workers hold together, and the upgrades that began there. */
  hear(rows: readonly HeldUse[], nowMs: number): void {
    for (const { of, key, requests, sockets, connections, upgrades } of rows) {
      const use = useOf(this.#usesOf(of), key)
      use.elsewhere = requests + sockets + connections === 0 ? NOTHING : { requests, sockets, connections }
      if (upgrades === 0) continue
      hasUpgrade(use, this.#mostOf(of).upgrades, nowMs)
      use.upgradesLeft = Math.max(0, use.upgradesLeft - upgrades)
    }
  }

  #usesOf(of: UseKind): Map<string, Use> {
    return of === 'user' ? this.#users : of === 'workspace' ? this.#workspaces : this.#addresses
  }

  #mostOf(of: UseKind): Level & { readonly upgrades: number } {
    const { limits } = this
    const connections = limits.addressConnections
    return of === 'workspace'
      ? {
          requests: limits.workspaceRequests,
          sockets: limits.workspaceSockets,
          upgrades: limits.workspaceUpgrades,
          connections,
        }
      : {
          requests: limits.userRequests,
          sockets: limits.userSockets,
          upgrades: limits.userUpgrades,
          connections,
        }
  }

  /** Forgets those who have nothing open. */
  sweep(nowMs: number): void {
    for (const uses of [this.#users, this.#workspaces, this.#addresses])
      for (const [key, use] of uses) if (isUnused(use, nowMs)) uses.delete(key)
  }
}

function useOf(uses: Map<string, Use>, key: string): Use {
  let use = uses.get(key)
  if (use === undefined) uses.set(key, (use = newUse()))
  return use
}
