/** Agents come in: they register, wait for what is desired, and report; what they say moves workspaces. */
import type { Deployment } from '../deployment.ts'
import type { Batch, Writer } from '../feed/feed.ts'
import type { Host } from '../store/hosts.ts'
import { findHost, saveHost, silentHosts, touchHosts, updateHost } from '../store/hosts.ts'
import type { Workspace } from '../store/workspaces.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import { hashToken } from '../credentials/tokens.ts'
import { ApiError } from '../wire/index.ts'
import type { Desired, Register, Registered, Report, Status } from '../wire/index.ts'
import { writeAudit } from '../audit/audit-rows.ts'
import { desiredOf, Waiters } from './desired.ts'
import { tellHooks } from '../hooks/hook-events.ts'
import { HostMemory } from './host-memory.ts'
import type { Joining } from './joining.ts'
import { checkProof, joinHost } from './joining.ts'
import { desiredChanged, judgeRegained, placeWaiting, settle } from './settle.ts'

/** A poll is held for so long, in ms, so that each host is heard so often; one that missed three is away. */
const LONG_POLL_MS = 10_000
export const AWAY_MS = 3 * LONG_POLL_MS
/** Agents report each change at once, and the whole again so often, in ms: dearer to take than a poll. */
const REPORT_MS = 60_000

/** A host that has proved itself, and the epoch that its process was given. */
export interface AgentIdentity {
  readonly hostId: string
  readonly epoch: number
}

export interface Agents {
  /** @throws ApiError forbidden, unauthenticated */
  register(body: Register, joining: Joining): Promise<Registered>
  /** @throws ApiError unauthenticated */
  identify(credential: string, epoch: number): Promise<AgentIdentity>
  /** Null when nothing changed for `waitMs` (at most 10 s). @throws ApiError stale_epoch */
  desired(
    agent: AgentIdentity,
    since: number,
    call: { readonly signal: AbortSignal; readonly waitMs?: number },
  ): Promise<Desired | null>
  /** @throws ApiError stale_epoch */
  report(agent: AgentIdentity, body: Report): Promise<void>
  /** Marks hosts that no longer report. */
  sweep(): Promise<void>
  /** Wakes who waits for a host's desired set. */
  changed(batch: Batch): void
  /** Answers all who wait: nothing changed; who comes later over the network is answered at once. */
  close(): void
}

const nothing: Omit<Status, 'id'> = {
  state: 'absent',
  generation: 0,
  incarnation: '',
  reach: { kind: 'none' },
}

/** What is stored of a status: whole, with the revision that the host had seen. */
function heard(workspace: Workspace, status: Status | undefined, revision: number): Workspace {
  // A whole set without it means that nothing is there, but only if the host knew of it.
  if (status === undefined && revision < workspace.desiredRevision) return workspace
  const now: Status = status ?? { ...nothing, id: workspace.id }
  const isSame = JSON.stringify(now) === JSON.stringify(workspace.status)
  if (isSame && workspace.statusRevision >= workspace.desiredRevision) return workspace
  return { ...workspace, status: now, statusRevision: revision }
}

/** Those of a host's workspaces that a report changes, each with what becomes of it. */
function newsOf(rows: readonly Workspace[], body: Report): [Workspace, Workspace][] {
  // What could not be observed says nothing, least of all that it is gone.
  if (!body.observed) return []
  const said = new Map(body.workspaces.map((status) => [status.id, status]))
  return rows
    .map((row): [Workspace, Workspace] => [row, heard(row, said.get(row.id), body.revision)])
    .filter(([row, draft]) => row !== draft)
}

class HostAgents implements Agents {
  readonly #deployment: Deployment
  readonly #waiters = new Waiters()
  readonly #hosts: HostMemory
  /** Nobody could report before: silence is counted from here. */
  readonly #sinceMs: number
  #isClosed = false

  constructor(deployment: Deployment) {
    this.#deployment = deployment
    this.#hosts = new HostMemory(deployment.feed.db)
    this.#sinceMs = deployment.now()
  }

  async register(body: Register, joining: Joining): Promise<Registered> {
    const now = this.#deployment.now()
    checkProof(body, now)
    return this.#deployment.feed.write(async (w) => {
      const { host, known, credential } = await joinHost(w, body, joining, now)
      await saveHost(w.db, host)
      await desiredChanged(w, host.id)
      if (credential !== undefined) {
        const actor = { kind: 'agent', id: host.id, name: host.name } as const
        await writeAudit(w.db, { action: 'host.join', actor, object: { id: host.id, name: host.name } }, now)
      }
      if (known !== null) await judgeRegained(this.#deployment, w, known, host)
      await this.#hostChanged(w, host)
      const { id: hostId, epoch, runtime, machineId } = host
      this.#deployment.log.info('a host registered', { hostId, epoch, runtime, machineId })
      return {
        deploymentId: this.#deployment.id,
        hostId: host.id,
        epoch: host.epoch,
        ...(credential === undefined ? {} : { credential }),
        heartbeatMs: REPORT_MS,
      }
    })
  }

  async #hostChanged(w: Writer, host: Host): Promise<void> {
    await w.changed('host', host.id)
    for (const workspace of await listWorkspaces(w.db, { hostId: host.id }))
      await settle(this.#deployment, w, workspace, workspace, { host })
    if (host.connected) await placeWaiting(this.#deployment, w)
  }

  async #tell(w: Writer, type: 'host.back' | 'host.away', { id, name }: Host): Promise<void> {
    await tellHooks(w.db, { type, atMs: this.#deployment.now(), data: { host: { id, name } } })
  }

  async identify(credential: string, epoch: number): Promise<AgentIdentity> {
    const host = await this.#hosts.byCredential(hashToken(credential))
    if (host === null) throw new ApiError('unauthenticated', 'This agent credential is not known here.')
    return { hostId: host.id, epoch }
  }

  async #host(agent: AgentIdentity): Promise<Host> {
    const host = await this.#hosts.byId(agent.hostId)
    if (host === null) throw new ApiError('unauthenticated', 'This host is not known here.')
    if (host.epoch !== agent.epoch) throw new ApiError('stale_epoch')
    return host
  }

  async #seen(host: Host): Promise<void> {
    const now = this.#deployment.now()
    if (!host.connected) {
      await this.#deployment.feed.write(async (w) => {
        await touchHosts(w.db, [host.id], now)
        await updateHost(w.db, host.id, { connected: true })
        await this.#hostChanged(w, { ...host, connected: true })
        await this.#tell(w, 'host.back', host)
      })
    } else this.#hosts.heard(host.id, now)
  }

  async desired(
    agent: AgentIdentity,
    since: number,
    call: { readonly signal: AbortSignal; readonly waitMs?: number },
  ): Promise<Desired | null> {
    await this.#seen(await this.#host(agent))
    // Waiting begins before the look, so that no change falls between the two.
    // At the end no connection is held; an agent in this process holds none, and would ask again at once, for ever.
    const isLeaving = this.#isClosed && call.waitMs !== undefined
    const waitMs = isLeaving ? 0 : Math.min(call.waitMs ?? LONG_POLL_MS, LONG_POLL_MS)
    const wait = this.#waiters.add(agent.hostId, call.signal, waitMs)
    try {
      const host = await this.#host(agent)
      // Also when it is lower: the store was restored from a backup.
      if (host.desiredRevision !== since) return await desiredOf(this.#deployment, host)
      if (!(await wait.done)) return null
      return await desiredOf(this.#deployment, await this.#host(agent))
    } finally {
      wait.end()
    }
  }

  changed(batch: Batch): void {
    this.#hosts.changed(batch)
    if (batch.missed) this.#waiters.wake()
    else
      this.#waiters.wake(batch.changes.filter(({ kind }) => kind === 'desired').map(({ subject }) => subject))
  }

  close(): void {
    this.#isClosed = true
    this.#waiters.wake(undefined, false)
  }

  async report(agent: AgentIdentity, body: Report): Promise<void> {
    const host = await this.#host(agent)
    await this.#seen(host)
    const since = this.#hosts.changes
    const text = JSON.stringify(body)
    if (this.#hosts.isQuiet(host.id, text)) return
    const isHealthNews = JSON.stringify(host.health) !== JSON.stringify(body.health)
    const rows = await listWorkspaces(this.#deployment.feed.db, { hostId: host.id })
    if (!isHealthNews && newsOf(rows, body).length === 0) {
      const ids = rows.map(({ id }) => id)
      return this.#hosts.noteQuiet(host.id, text, ids, since)
    }
    await this.#deployment.feed.write(async (w) => {
      const current = await findHost(w.db, { id: host.id })
      if (current === null || current.epoch !== agent.epoch) throw new ApiError('stale_epoch')
      if (isHealthNews) {
        await updateHost(w.db, host.id, { health: body.health })
        await w.changed('health', host.id)
      }
      for (const [row, draft] of newsOf(await listWorkspaces(w.db, { hostId: host.id }), body))
        await settle(this.#deployment, w, row, draft)
    })
  }

  async sweep(): Promise<void> {
    await this.#hosts.flush()
    const limit = this.#deployment.now() - AWAY_MS
    if (this.#sinceMs >= limit) return
    if ((await silentHosts(this.#deployment.feed.db, limit)).length === 0) return
    await this.#deployment.feed.write(async (w) => {
      for (const host of await silentHosts(w.db, limit)) {
        await updateHost(w.db, host.id, { connected: false })
        await this.#hostChanged(w, { ...host, connected: false })
        await this.#tell(w, 'host.away', host)
      }
    })
  }
}

export function hostAgents(deployment: Deployment): Agents {
  return new HostAgents(deployment)
}
