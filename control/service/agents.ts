/** Agents come in: they register, wait for what is desired, and report; what they say moves workspaces. */
import { createPublicKey, verify } from 'node:crypto'
import type { Deployment } from '../deployment.ts'
import type { Batch, Writer } from '../feed.ts'
import { runtimeSpec } from '../spec.ts'
import type { Host } from '../store/hosts.ts'
import { findHost, listHosts, saveHost, touchHost, updateHost } from '../store/hosts.ts'
import { consumeJoinToken } from '../store/tokens.ts'
import type { Workspace } from '../store/workspaces.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import { hashToken, newId, newToken } from '../tokens.ts'
import { ApiError } from '../wire/index.ts'
import type { Desired, DesiredEntry, Register, Registered, Report, Status } from '../wire/index.ts'
import { desiredChanged, placeWaiting, settle } from './settle.ts'

/** Agents report at least so often, in ms; a host that missed three is away. */
export const HEARTBEAT_MS = 10_000
export const AWAY_MS = 3 * HEARTBEAT_MS
const FRESH_MS = 5 * 60_000
const LONG_POLL_MS = 25_000
const STOP_GRACE_MS = 10_000

/** By what an agent registers: the embedded one needs nothing. */
export type Joining = { readonly kind: 'embedded' } | { readonly kind: 'bearer'; readonly token: string }

/** A host that has proved itself, and the epoch that its process was given. */
export interface AgentIdentity {
  readonly hostId: string
  readonly epoch: number
}

export interface Agents {
  register(body: Register, joining: Joining): Promise<Registered>
  /** @throws ApiError unauthenticated, stale_epoch */
  identify(credential: string, epoch: number): Promise<AgentIdentity>
  desired(
    agent: AgentIdentity,
    since: number,
    call: { readonly signal: AbortSignal; readonly waitMs?: number },
  ): Promise<Desired | null>
  report(agent: AgentIdentity, body: Report): Promise<void>
  /** Marks hosts that no longer report. */
  sweep(): Promise<void>
  /** Wakes who waits for a host's desired set. */
  changed(batch: Batch): void
  /** Answers all who wait: nothing changed. */
  close(): void
}

/** @throws ApiError forbidden unless the key's owner signed this very registration within five minutes. */
function checkProof(body: Register, now: number): void {
  const text = `postern-register\n${body.machineId}\n${body.publicKey}\n${body.issuedAtMs}`
  let genuine = false
  try {
    const key = createPublicKey({
      key: Buffer.from(body.publicKey, 'base64url'),
      format: 'der',
      type: 'spki',
    })
    genuine =
      key.asymmetricKeyType === 'ed25519' &&
      verify(null, Buffer.from(text), key, Buffer.from(body.proof, 'base64url'))
  } catch {
    // Not a key, or not a signature: not genuine.
  }
  if (!genuine) throw new ApiError('forbidden', 'The proof does not fit the public key.')
  if (Math.abs(now - body.issuedAtMs) > FRESH_MS)
    throw new ApiError('forbidden', 'The registration is not fresh: set the clocks of both machines.')
}

const idOf = (entry: DesiredEntry): string => (entry.want === 'running' ? entry.spec.id : entry.id)

/** One line of a host's desired set. */
export function desiredEntry(deployment: Deployment, workspace: Workspace, host: Host): DesiredEntry {
  const { id, want, data } = workspace
  if (want === 'removed') return { want, id, data }
  if (want === 'stopped' || !workspace.admitted) return { want: 'stopped', id, graceMs: STOP_GRACE_MS }
  const env = workspace.spec.env.map(({ name, value, secret }) => ({
    name,
    value: secret ? deployment.vault.open({ workspaceId: id, name }, value) : value,
  }))
  const spec = runtimeSpec(workspace, env, host.capabilities)
  return spec === null ? { want: 'stopped', id, graceMs: STOP_GRACE_MS } : ({ want, spec } as DesiredEntry)
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
  const same = JSON.stringify(now) === JSON.stringify(workspace.status)
  if (same && workspace.statusRevision >= workspace.desiredRevision) return workspace
  return { ...workspace, status: now, statusRevision: revision }
}

class HostAgents implements Agents {
  readonly #deployment: Deployment
  readonly #waiting = new Map<string, Set<(changed: boolean) => void>>()

  constructor(deployment: Deployment) {
    this.#deployment = deployment
  }

  async register(body: Register, joining: Joining): Promise<Registered> {
    const now = this.#deployment.now()
    checkProof(body, now)
    return this.#deployment.feed.write(async (w) => {
      const known = await this.#knownHost(w, body, joining)
      const credential =
        joining.kind === 'bearer' && joining.token.startsWith('psj_') ? newToken('psa_') : undefined
      const host: Host = {
        id: known?.id ?? newId(),
        name: body.name,
        publicKey: body.publicKey,
        machineId: body.machineId,
        embedded: joining.kind === 'embedded',
        epoch: (known?.epoch ?? 0) + 1,
        credentialHash: credential === undefined ? (known?.credentialHash ?? null) : hashToken(credential),
        runtime: body.runtime,
        capabilities: body.capabilities,
        subnets: body.workspaceSubnets,
        version: body.version,
        createdAtMs: known?.createdAtMs ?? now,
        lastSeenAtMs: now,
        connected: true,
        health: known?.health ?? { status: 'healthy', message: '', warnings: [] },
        desiredRevision: known?.desiredRevision ?? 0,
      }
      await saveHost(w.db, host)
      await desiredChanged(w, host.id)
      await w.changed('host', host.id)
      await this.#resettle(w, host)
      await placeWaiting(this.#deployment, w)
      return {
        deploymentId: this.#deployment.id,
        hostId: host.id,
        epoch: host.epoch,
        ...(credential === undefined ? {} : { credential }),
        heartbeatMs: HEARTBEAT_MS,
      }
    })
  }

  async #knownHost(w: Writer, body: Register, joining: Joining): Promise<Host | null> {
    if (joining.kind === 'embedded') return findHost(w.db, { embeddedOn: body.machineId })
    const hash = hashToken(joining.token)
    if (joining.token.startsWith('psa_')) {
      const host = await findHost(w.db, { credentialHash: hash })
      if (host === null) throw new ApiError('unauthenticated', 'This agent credential is not known here.')
      if (host.publicKey !== body.publicKey)
        throw new ApiError('forbidden', 'The credential belongs to another key.')
      return host
    }
    if (!(await consumeJoinToken(w.db, hash, this.#deployment.now())))
      throw new ApiError('unauthenticated', 'This join token is used, too old or not known here.')
    return findHost(w.db, { publicKey: body.publicKey })
  }

  async #resettle(w: Writer, host: Host): Promise<void> {
    for (const workspace of await listWorkspaces(w.db, { hostId: host.id }))
      await settle(this.#deployment, w, workspace, workspace, { host })
  }

  async identify(credential: string, epoch: number): Promise<AgentIdentity> {
    const host = await findHost(this.#deployment.feed.db, { credentialHash: hashToken(credential) })
    if (host === null) throw new ApiError('unauthenticated', 'This agent credential is not known here.')
    return { hostId: host.id, epoch }
  }

  /** @throws ApiError stale_epoch for all but the newest process of the agent */
  async #host(agent: AgentIdentity): Promise<Host> {
    const host = await findHost(this.#deployment.feed.db, { id: agent.hostId })
    if (host === null) throw new ApiError('unauthenticated', 'This host is not known here.')
    if (host.epoch !== agent.epoch) throw new ApiError('stale_epoch')
    return host
  }

  async #seen(host: Host): Promise<void> {
    const now = this.#deployment.now()
    if (!host.connected) {
      await this.#deployment.feed.write(async (w) => {
        await touchHost(w.db, host.id, now)
        await updateHost(w.db, host.id, { connected: true })
        await w.changed('host', host.id)
        await this.#resettle(w, { ...host, connected: true })
        await placeWaiting(this.#deployment, w)
      })
    } else if (now - host.lastSeenAtMs >= HEARTBEAT_MS / 2)
      await touchHost(this.#deployment.feed.db, host.id, now)
  }

  async desired(
    agent: AgentIdentity,
    since: number,
    call: { readonly signal: AbortSignal; readonly waitMs?: number },
  ): Promise<Desired | null> {
    const host = await this.#host(agent)
    await this.#seen(host)
    // Listening begins before the look, so that no change falls between the two.
    const change = this.#listen(
      agent.hostId,
      call.signal,
      Math.min(call.waitMs ?? LONG_POLL_MS, LONG_POLL_MS),
    )
    try {
      const now = await this.#host(agent)
      if (now.desiredRevision !== since) return await this.#desiredOf(now)
      if (!(await change.done)) return null
      return await this.#desiredOf(await this.#host(agent))
    } finally {
      change.end()
    }
  }

  async #desiredOf(host: Host): Promise<Desired> {
    const workspaces = await listWorkspaces(this.#deployment.feed.db, { hostId: host.id })
    // The revision was read before the rows: at worst they are newer, and the agent is woken once too often.
    const entries = workspaces.map((workspace) => desiredEntry(this.#deployment, workspace, host))
    return {
      revision: host.desiredRevision,
      workspaces: entries.sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1)),
    }
  }

  #listen(hostId: string, signal: AbortSignal, waitMs: number): { done: Promise<boolean>; end(): void } {
    const waiting = this.#waiting.get(hostId) ?? new Set()
    this.#waiting.set(hostId, waiting)
    let end = (): void => undefined
    const done = new Promise<boolean>((resolve, reject) => {
      const wake = (changed: boolean): void => resolve(changed)
      const abort = (): void => reject(signal.reason as Error)
      const timer = setTimeout(() => resolve(false), waitMs)
      waiting.add(wake)
      signal.addEventListener('abort', abort, { once: true })
      end = () => {
        clearTimeout(timer)
        waiting.delete(wake)
        signal.removeEventListener('abort', abort)
        resolve(false)
      }
      if (signal.aborted) abort()
    })
    // An abort may come while nobody awaits it yet.
    done.catch(() => undefined)
    return { done, end: () => end() }
  }

  changed(batch: Batch): void {
    const hosts = batch.missed
      ? [...this.#waiting.keys()]
      : batch.changes.filter(({ kind }) => kind === 'desired').map(({ subject }) => subject)
    for (const hostId of new Set(hosts)) for (const wake of this.#waiting.get(hostId) ?? []) wake(true)
  }

  close(): void {
    for (const waiting of this.#waiting.values()) for (const wake of waiting) wake(false)
  }

  async report(agent: AgentIdentity, body: Report): Promise<void> {
    const host = await this.#host(agent)
    await this.#seen(host)
    const said = new Map(body.workspaces.map((status) => [status.id, status]))
    const isNews = async (db: Writer['db']): Promise<[Workspace, Workspace][]> => {
      if (!body.observed) return []
      const rows = await listWorkspaces(db, { hostId: host.id })
      return rows
        .map((row): [Workspace, Workspace] => [row, heard(row, said.get(row.id), body.revision)])
        .filter(([row, draft]) => JSON.stringify(row) !== JSON.stringify(draft))
    }
    const sick = JSON.stringify(host.health) !== JSON.stringify(body.health)
    if (!sick && (await isNews(this.#deployment.feed.db)).length === 0) return
    await this.#deployment.feed.write(async (w) => {
      const current = await findHost(w.db, { id: host.id })
      if (current === null || current.epoch !== agent.epoch) throw new ApiError('stale_epoch')
      if (sick) {
        await updateHost(w.db, host.id, { health: body.health })
        await w.changed('host', host.id)
      }
      for (const [row, draft] of await isNews(w.db)) await settle(this.#deployment, w, row, draft)
    })
  }

  async sweep(): Promise<void> {
    const limit = this.#deployment.now() - AWAY_MS
    const away = (host: Host): boolean => host.connected && host.lastSeenAtMs < limit
    if (!(await listHosts(this.#deployment.feed.db)).some(away)) return
    await this.#deployment.feed.write(async (w) => {
      for (const host of (await listHosts(w.db)).filter(away)) {
        await updateHost(w.db, host.id, { connected: false })
        await w.changed('host', host.id)
        await this.#resettle(w, { ...host, connected: false })
      }
    })
  }
}

export function hostAgents(deployment: Deployment): Agents {
  return new HostAgents(deployment)
}
