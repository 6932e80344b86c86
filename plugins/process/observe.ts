/** What is alive of the workspaces, what they listen on, and a way in that is proved theirs. */
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { RuntimeError } from '@postern/plugin'
import type { WorkspaceId } from '@postern/plugin'
import type { Finding, Meta } from './convert.ts'
import type { Quarry } from './finish.ts'
import {
  allListeners,
  bootId,
  censusTaker,
  isLeaderAlive,
  socketsOf,
  stillHolds,
  unwrittenLeader,
} from './processes.ts'
import type { Process } from './processes.ts'
import { portsOnLoopback, targetOf } from './sockets.ts'
import type { Target } from './sockets.ts'
import type { Store } from './store.ts'

/** The eyes of a runtime. */
export interface Observer {
  /** Each record, its leader found where nobody wrote it down, with what is alive of it. */
  look(
    metas: readonly Meta[],
  ): { readonly meta: Meta; readonly finding: Finding; readonly processes: readonly Process[] }[]
  /** A workspace's processes, as `finish` hunts them. */
  quarry(meta: Meta): Quarry
  /** @throws RuntimeError ERR_NOT_FOUND when none of its own processes listens there. */
  dial(meta: Meta, port: number, call: { readonly signal: AbortSignal }): Promise<Duplex>
}

/** Opens eyes that remember, between looks, only what can't change. */
export function openObserver(store: Store): Observer {
  const census = censusTaker()
  const boot = bootId()
  const sockets = new Map<WorkspaceId, Map<string, string>>()

  /** A census of one would forget the others. */
  function processesOf(metas: readonly Meta[]): (id: WorkspaceId) => readonly Process[] {
    const all = new Map([...store.readAll(), ...metas].map((meta) => [meta.id, meta]))
    const taken = census.take([...all.values()])
    return (id) => taken.of(id)
  }

  function withLeader(meta: Meta, processes: readonly Process[]): Meta {
    if (meta.leader !== null || meta.generation === 0) return meta
    const found = unwrittenLeader(processes, meta)
    if (found === undefined) return meta
    return { ...meta, leader: { pid: found.pid, startTicks: found.startTicks, bootId: boot } }
  }

  function look(metas: readonly Meta[]): ReturnType<Observer['look']> {
    const of = processesOf(metas)
    const listeners = allListeners()
    return metas.map((record) => {
      const processes = of(record.id)
      const meta = withLeader(record, processes)
      const isAlive = meta.generation > 0 && isLeaderAlive(meta, boot)
      const held = isAlive ? socketsOf(processes) : new Map<string, string>()
      sockets.set(meta.id, held)
      const listening = portsOnLoopback(listeners, (inode) => held.has(inode))
      return { meta, processes, finding: { isAlive, listening, exit: store.exitOf(meta.id) } }
    })
  }

  function targetNow(meta: Meta, port: number): { target: Target; hostPort: number } | undefined {
    const held = sockets.get(meta.id)
    const isOwn = (inode: string): boolean => {
      const path = held?.get(inode)
      return path !== undefined && stillHolds(path, inode)
    }
    const listeners = allListeners()
    for (const hostPort of [meta.ports[String(port)], port]) {
      const target = hostPort === undefined ? undefined : targetOf(listeners, hostPort, isOwn)
      if (target !== undefined && hostPort !== undefined) return { target, hostPort }
    }
    return undefined
  }

  return {
    look,
    quarry: (meta) => ({
      alive: () => processesOf([meta])(meta.id),
      isWrapper: (one) => one.pid === meta.leader?.pid && one.startTicks === meta.leader.startTicks,
    }),
    async dial(record, port, { signal }) {
      signal.throwIfAborted()
      // What was seen last may do; where it doesn't, look anew.
      let found = targetNow(record, port)
      if (found === undefined && look([record])[0]?.finding.isAlive === true) found = targetNow(record, port)
      if (found === undefined) throw nothingThere(port)
      const stream = await dialLoopback(found.target.host, found.hostPort, port, signal)
      // Somebody else may have taken the port over between the look and the dial.
      const after = targetNow(record, port)
      if (after?.target.inodes.join() === found.target.inodes.join()) return stream
      stream.destroy()
      throw nothingThere(port)
    },
  }
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
