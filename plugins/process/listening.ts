/**
 * The workspaces' processes come in; the machine's listening sockets go out, read again only when those processes may
 * have changed theirs: the kernel's table is dear to read, however few rows it has.
 */
import { allListeners, descriptorsOf, socketsAmong } from './processes.ts'
import type { Process } from './processes.ts'
import type { Listener } from './sockets.ts'

/** The listening sockets of the machine as they matter to the given processes, which are all of the workspaces. */
export type ListenerLook = (processes: readonly Process[]) => readonly Listener[]

/** So long after a change each look reads the table: a socket is made first, and listens a little later. */
const SETTLE_MS = 2_000
/** The processor's time is counted in steps of 10 ms, so that a process may make a socket in less than is seen. */
const WALK_AGE_MS = 2_000
/** For a socket that was made long ago and listens only now. */
const TABLE_AGE_MS = 30_000
/** Reading so many descriptors costs about as much as the table. */
const DESCRIPTORS_MAX = 500

interface Known {
  readonly startTicks: number
  readonly cpuTicks: number
  readonly sockets: string
  readonly walkedAtMs: number
}

/** Begins with nothing known, so that the first look with a process reads the table. */
export function openListenerLook(): ListenerLook {
  let known = new Map<number, Known>()
  let listeners: readonly Listener[] = []
  let changedAtMs = Number.NEGATIVE_INFINITY
  let readAtMs = Number.NEGATIVE_INFINITY

  /** True when a process came, went or has other sockets, or when it would cost too much to tell. */
  function isChanged(processes: readonly Process[], now: number): boolean {
    const next: typeof known = new Map()
    let rest = DESCRIPTORS_MAX
    let isOther = processes.length !== known.size
    for (const one of processes) {
      const { pid, startTicks, cpuTicks } = one
      const old = known.get(pid)
      const isSame = old?.startTicks === startTicks
      const isIdle = isSame && old.cpuTicks === cpuTicks
      if (isIdle && (rest < 0 || now - old.walkedAtMs < WALK_AGE_MS)) {
        next.set(pid, old)
        continue
      }
      const descriptors = rest < 0 ? [] : descriptorsOf(pid)
      rest -= descriptors.length
      const sockets = rest < 0 ? '' : [...socketsAmong(descriptors).keys()].join()
      if (rest < 0 ? !isIdle : !isSame || old.sockets !== sockets) isOther = true
      next.set(pid, { startTicks, cpuTicks, sockets, walkedAtMs: now })
    }
    known = next
    return isOther
  }

  return (processes) => {
    const now = performance.now()
    if (isChanged(processes, now)) changedAtMs = now
    // Without a process of ours, no socket is of interest.
    if (processes.length === 0) listeners = []
    else if (now - changedAtMs < SETTLE_MS || now - readAtMs >= TABLE_AGE_MS) {
      listeners = allListeners()
      readAtMs = now
    }
    return listeners
  }
}
