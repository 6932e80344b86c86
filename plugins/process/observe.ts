/** What is alive of the workspaces, what they listen on, and a way in that is proved theirs. */
import type { Duplex } from 'node:stream'
import type { WorkspaceId } from '@postern/plugin'
import type { Finding, Meta } from './convert.ts'
import { dial, nothingThere } from './dial.ts'
import type { WayIn } from './dial.ts'
import type { Quarry } from './finish.ts'
import { diskSize } from './disk.ts'
import { openHoldings } from './holdings.ts'
import { openListenerLook } from './listening.ts'
import { bootId, censusTaker, isLeaderAlive, unwrittenLeader } from './processes.ts'
import type { Process } from './processes.ts'
import { portsOnLoopback, targetOf } from './sockets.ts'
import type { Listener } from './sockets.ts'
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

/** How long a look believes that a stranger's socket is a stranger's. */
const LOOK_AGE_MS = 5_000
/** The same of a dial. */
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
        finding: {
          isAlive,
          listening,
          exit: isAlive ? undefined : store.exitOf(meta.id),
          diskBytes: diskSize(store.placeOf(meta.id).image),
        },
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
      return dial((all) => wayIn(meta, port, all), { table, port, maxAgeMs: DIAL_AGE_MS, signal })
    },
  }
}
