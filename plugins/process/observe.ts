/** What is alive of the workspaces, what they listen on, and a way in that is proved theirs. */
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { RuntimeError } from '@postern/plugin'
import type { WorkspaceId } from '@postern/plugin'
import type { Finding, Meta } from './convert.ts'
import type { Quarry } from './finish.ts'
import { openHoldings } from './holdings.ts'
import { openListenerLook } from './listening.ts'
import { bootId, censusTaker, isLeaderAlive, unwrittenLeader } from './processes.ts'
import type { Process } from './processes.ts'
import { portsOnLoopback, targetOf } from './sockets.ts'
import type { Listener, Target } from './sockets.ts'
import type { Store } from './store.ts'
import { openTable } from './table.ts'

/** A record and what was seen of it. */
export interface Seen {
  readonly meta: Meta
  readonly finding: Finding
  readonly processes: readonly Process[]
}

/** The eyes of a runtime. */
export interface Observer {
  /** Each record, its leader found where nobody wrote it down, with what is alive of it. */
  look(metas: readonly Meta[]): Seen[]
  /** A workspace's processes, as `finish` hunts them. */
  quarry(meta: Meta): Quarry
  /** @throws RuntimeError ERR_NOT_FOUND when none of its own processes listens there. */
  dial(meta: Meta, port: number, call: { readonly signal: AbortSignal }): Promise<Duplex>
}

type Look<T> = () => Promise<T | undefined>

interface WayIn {
  readonly target: Target
  readonly hostPort: number
}

/** How long a look believes that a stranger's socket is a stranger's. */
const LOOK_AGE_MS = 5_000
/** The same of a dial; and how old a table may be by which it is begun, as it is proved by a new one afterwards. */
const DIAL_AGE_MS = 250

/** Opens eyes that remember, between looks, only what can't change or is checked again. */
export function openObserver(store: Store): Observer {
  const census = censusTaker()
  const boot = bootId()
  const holdings = openHoldings()
  const listenersAt = openListenerLook()
  const table = openTable()

  /** Of every workspace: a census of one would forget the others. */
  function allProcesses(metas: readonly Meta[], isQuick: boolean): Map<WorkspaceId, readonly Process[]> {
    const all = new Map([...store.readAll(), ...metas].map((meta) => [meta.id, meta]))
    const taken = census.take([...all.values()], isQuick)
    return new Map([...all.keys()].map((id) => [id, taken.of(id)]))
  }

  function withLeader(meta: Meta, processes: readonly Process[]): Meta {
    if (meta.leader !== null || meta.generation === 0) return meta
    const found = unwrittenLeader(processes, meta)
    if (found === undefined) return meta
    return { ...meta, leader: { pid: found.pid, startTicks: found.startTicks, bootId: boot } }
  }

  function look(metas: readonly Meta[]): Seen[] {
    if (metas.length === 0) return []
    const everybody = allProcesses(metas, true)
    const listeners = listenersAt([...everybody.values()].flat())
    holdings.refresh(listeners, listeners, () => everybody, LOOK_AGE_MS)
    return metas.map((record) => {
      const processes = everybody.get(record.id) ?? []
      const meta = withLeader(record, processes)
      const isAlive = meta.generation > 0 && isLeaderAlive(meta, boot)
      const listening = isAlive ? portsOnLoopback(listeners, holdings.of(meta.id)) : new Set<number>()
      return {
        meta,
        processes,
        finding: { isAlive, listening, exit: isAlive ? undefined : store.exitOf(meta.id) },
      }
    })
  }

  /** The number itself counts as well as what was handed over for it: not every program takes the hint. */
  function wayIn(meta: Meta, port: number, all: readonly Listener[]): WayIn | undefined {
    const candidates = [meta.ports[String(port)], port].filter((hostPort) => hostPort !== undefined)
    const listeners = all.filter((one) => candidates.includes(one.port))
    holdings.refresh(all, listeners, () => allProcesses([meta], true), DIAL_AGE_MS)
    for (const hostPort of candidates) {
      const target = targetOf(listeners, hostPort, holdings.of(meta.id))
      if (target !== undefined) return { target, hostPort }
    }
    return undefined
  }

  /**
   * Dials, and proves by a table that was read after it that the same sockets, the workspace's own, took it: somebody
   * else may have taken the port over meanwhile. Undefined where that isn't proved.
   */
  async function enter(
    meta: Meta,
    port: number,
    { target, hostPort }: WayIn,
    prove: (look: Look<true>) => Promise<true | undefined>,
    signal: AbortSignal,
  ): Promise<Duplex | undefined> {
    const stream = await dialLoopback(target.host, hostPort, port, signal)
    let isProved: true | undefined
    try {
      isProved = await prove(async () => {
        const now = wayIn(meta, port, await table.fresh())
        return now?.target.inodes.join() === target.inodes.join() ? true : undefined
      })
      signal.throwIfAborted()
    } catch (err) {
      stream.destroy()
      throw err
    }
    if (isProved === true) return stream
    stream.destroy()
    return undefined
  }

  /** By what was seen a moment ago. Whatever fails here is only no answer: the patient way follows. */
  async function enterQuickly(meta: Meta, port: number, signal: AbortSignal): Promise<Duplex | undefined> {
    const found = wayIn(meta, port, await table.recent(DIAL_AGE_MS))
    if (found === undefined) return undefined
    return enter(meta, port, found, (look) => look(), signal).catch(() => {
      signal.throwIfAborted()
      return undefined
    })
  }

  return {
    look,
    quarry: (meta) => ({
      alive: () => allProcesses([meta], false).get(meta.id) ?? [],
      isWrapper: (one) => one.pid === meta.leader?.pid && one.startTicks === meta.leader.startTicks,
    }),
    async dial(meta, port, { signal }) {
      signal.throwIfAborted()
      const isAlive = isLeaderAlive(meta, boot) || look([meta])[0]?.finding.isAlive === true
      if (!isAlive) throw nothingThere(port)
      const quick = await enterQuickly(meta, port, signal)
      if (quick !== undefined) return quick
      const patiently = <T>(again: Look<T>): Promise<T | undefined> => soon(again, signal)
      const found = await patiently(async () => wayIn(meta, port, await table.fresh()))
      if (found === undefined) throw nothingThere(port)
      const stream = await enter(meta, port, found, patiently, signal)
      if (stream === undefined) throw nothingThere(port)
      return stream
    },
  }
}

/**
 * Looks up to three times: the kernel's table of listeners is read in pages, and a row is missed when others come or go
 * between two of them; and a socket is believed a stranger's for DIAL_AGE_MS.
 */
async function soon<T>(look: Look<T>, signal: AbortSignal): Promise<T | undefined> {
  for (const pauseMs of [20, DIAL_AGE_MS + 10]) {
    const found = await look()
    if (found !== undefined) return found
    await pause(pauseMs, undefined, { signal })
  }
  return look()
}

function nothingThere(port: number, cause?: unknown): RuntimeError {
  return new RuntimeError('ERR_NOT_FOUND', `Nothing of the workspace listens on port ${port}.`, { cause })
}

function dialLoopback(host: string, hostPort: number, port: number, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: hostPort })
    const stop = (): void => {
      socket.destroy()
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', stop, { once: true })
    socket.once('error', (err) => {
      signal.removeEventListener('abort', stop)
      reject(nothingThere(port, err))
    })
    socket.once('connect', () => {
      signal.removeEventListener('abort', stop)
      socket.setNoDelay(true).removeAllListeners('error')
      resolve(socket)
    })
  })
}
