/** Reads /proc: which processes belong to which workspace, and which sockets they hold. Source: proc(5). */
import { closeSync, existsSync, openSync, readFileSync, readSync, readdirSync, readlinkSync } from 'node:fs'
import { markOf, markerVariables } from './convert.ts'
import type { Meta } from './convert.ts'
import { endsListening, parseListeners } from './sockets.ts'
import type { Listener } from './sockets.ts'

/** A living process; `startTicks` tells it from a later one of the same pid. */
export interface Process {
  readonly pid: number
  readonly startTicks: number
  /** Processor time that all its threads have used. */
  readonly cpuTicks: number
  readonly session: number
}

/** Who is whose at one moment. */
export interface Census {
  of(id: string): readonly Process[]
}

const page = Buffer.allocUnsafe(64 * 1024)

/** Reads a file of /proc; of a process that ended meanwhile, or isn't ours to look at, it is undefined. */
function read(path: string): string | undefined {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    let text = ''
    for (;;) {
      const length = readSync(file, page)
      text += page.toString('latin1', 0, length)
      if (length < page.length) return text
    }
  } catch {
    return undefined
  } finally {
    closeSync(file)
  }
}

/** The process of that pid; undefined where there is none that lives (a zombie doesn't). */
export function findProcess(pid: number): Process | undefined {
  const stat = read(`/proc/${pid}/stat`)
  // The name is in parentheses and may hold anything, so fields are counted from the last parenthesis.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined
  const cpuTicks = Number(fields[11]) + Number(fields[12])
  return { pid, startTicks: Number(fields[19]), cpuTicks, session: Number(fields[3]) }
}

/** This boot of the machine: pids and start times mean nothing in another one. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}

/** True when the leader that was written down is the one that lives. */
export function isLeaderAlive(meta: Meta, boot: string): boolean {
  if (meta.leader === null || meta.leader.bootId !== boot) return false
  return findProcess(meta.leader.pid)?.startTicks === meta.leader.startTicks
}

const TICKS_PER_SECOND = 100
/** Younger ones may not have become what they will be: a child carries its parent's marks until it has its own. */
const SETTLED_TICKS = 2 * TICKS_PER_SECOND

/** For how long a quick census takes a stranger's pid for the same stranger's. */
const STRANGER_TICKS = 5 * TICKS_PER_SECOND

/**
 * Takes a census again and again; what is settled about a process is remembered by pid and start time. A quick one
 * doesn't look again at those that were strangers a moment ago; one that is going to end processes looks at all.
 */
export function censusTaker(): { take(metas: readonly Meta[], isQuick: boolean): Census } {
  let known = new Map<number, { startTicks: number; owner: string | null; seenTicks: number }>()
  return {
    take(metas, isQuick) {
      const next: typeof known = new Map()
      const found = new Map<string, Process[]>()
      const tell = judge(metas)
      const now = Number((read('/proc/uptime') ?? '0').split(' ')[0]) * TICKS_PER_SECOND
      for (const name of readdirSync('/proc')) {
        const pid = Number(name)
        if (!(pid > 1) || pid === process.pid) continue
        const old = known.get(pid)
        if (isQuick && old?.owner === null && now - old.seenTicks < STRANGER_TICKS) {
          next.set(pid, old)
          continue
        }
        const one = findProcess(pid)
        if (one === undefined) continue
        const owner = old?.startTicks === one.startTicks ? old.owner : tell(one)
        if (owner !== null || now - one.startTicks > SETTLED_TICKS)
          next.set(pid, { startTicks: one.startTicks, owner, seenTicks: now })
        if (owner !== null) found.set(owner, [...(found.get(owner) ?? []), one])
      }
      known = next
      return { of: (id) => found.get(id) ?? [] }
    },
  }
}

/** Tells whose a process is: by uid where workspaces have their own, else by its limit, its variables or its session. */
function judge(metas: readonly Meta[]): (one: Process) => string | null {
  const byUid = new Map(metas.flatMap((meta) => (meta.uid === null ? [] : [[meta.uid, meta.id] as const])))
  const shared = metas.filter((meta) => meta.uid === null)
  const byMark = new Map(shared.map((meta) => [String(markOf(meta, meta.id)), meta.id]))
  const me = process.getuid?.() ?? -1
  return (one) => {
    const uids = uidsOf(one.pid)
    for (const uid of uids) {
      const id = byUid.get(uid)
      if (id !== undefined) return id
    }
    if (shared.length === 0 || (me !== 0 && !uids.includes(me))) return null
    const limit = /^Max file locks\s+\S+\s+(\d+)/m.exec(read(`/proc/${one.pid}/limits`) ?? '')?.[1]
    const marked = limit === undefined ? undefined : byMark.get(limit)
    if (marked !== undefined) return marked
    const variables = new Set(read(`/proc/${one.pid}/environ`)?.split('\0'))
    return shared.find((meta) => carries(variables, meta))?.id ?? null
  }
}

function carries(variables: ReadonlySet<string>, meta: Meta): boolean {
  const { POSTERN_INCARNATION: _, ...lasting } = markerVariables(meta)
  return Object.entries(lasting).every(([name, value]) =>
    variables.has(Buffer.from(`${name}=${value}`).toString('latin1')),
  )
}

function uidsOf(pid: number): number[] {
  const line = /^Uid:\s+(.+)$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1]
  return line === undefined ? [] : line.split(/\s+/).map(Number)
}

/** The sockets that processes hold: inode → a path in /proc that leads to it. */
export function socketsOf(processes: readonly Process[]): Map<string, string> {
  return new Map(processes.flatMap(({ pid }) => [...socketsAmong(descriptorsOf(pid))]))
}

/** The paths of a process's open descriptors; none where it has ended, or isn't ours to look at. */
export function descriptorsOf(pid: number): string[] {
  return entries(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)
}

/** The sockets among paths of descriptors: inode → path. */
export function socketsAmong(paths: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const path of paths) {
    const inode = /^socket:\[(\d+)\]$/.exec(link(path))?.[1]
    if (inode !== undefined) found.set(inode, path)
  }
  return found
}

/** True when the path of a socket still leads to it. */
export function stillHolds(path: string, inode: string): boolean {
  return link(path) === `socket:[${inode}]`
}

/** The leader that was started for this incarnation though nobody came to write it down. */
export function unwrittenLeader(processes: readonly Process[], meta: Meta): Process | undefined {
  const mark = `POSTERN_INCARNATION=${meta.incarnation}`
  return processes
    .filter((one) => one.session === one.pid)
    .filter((one) => read(`/proc/${one.pid}/environ`)?.split('\0').includes(mark) === true)
    .toSorted((a, b) => a.startTicks - b.startTicks)[0]
}

function entries(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return [] // It has ended, or is not ours to look at: then nothing of it is proved ours.
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** Every TCP socket of this machine that listens. */
export function allListeners(): Listener[] {
  return [
    ...parseListeners(listeningPart('/proc/net/tcp'), 4),
    // Absent where the kernel has no IPv6.
    ...(existsSync('/proc/net/tcp6') ? parseListeners(listeningPart('/proc/net/tcp6'), 6) : []),
  ]
}

const ROWS_BYTES = 1_024

function listeningPart(path: string): string {
  const file = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(ROWS_BYTES)
    let text = ''
    for (;;) {
      const length = readSync(file, buffer)
      text += buffer.toString('latin1', 0, length)
      if (length === 0 || endsListening(text)) return text
    }
  } finally {
    closeSync(file)
  }
}
