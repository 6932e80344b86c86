/** Process ids come in; the CPU time that they and their descendants have used so far goes out (Linux, /proc). */
import { readFileSync, readdirSync } from 'node:fs'
import { execFileSync } from 'node:child_process'

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

interface Stat {
  readonly pid: number
  readonly parent: number
  readonly cpuMicros: number
}

/** One line of /proc/<pid>/stat; null for a process that is gone. Source: proc(5). */
function stat(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command's name is in brackets and may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[11]) + Number(fields[12])
    return { pid, parent: Number(fields[1]), cpuMicros: (ticks / ticksPerSecond) * 1e6 }
  } catch {
    return null
  }
}

/** All processes that descend from `roots`, the roots included. */
export function processTree(roots: readonly number[]): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue
    const one = stat(Number(name))
    if (one) parents.set(one.pid, one.parent)
  }
  const inTree = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (roots.includes(pid) || inTree(parents.get(pid)))
  return [...parents.keys()].filter(inTree)
}

/** User and system CPU time of `roots` and all that descends from them, µs since each began. */
export function cpuMicros(roots: readonly number[]): number {
  return processTree(roots).reduce((sum, pid) => sum + (stat(pid)?.cpuMicros ?? 0), 0)
}

/** Resident memory of a process in bytes; `withDescendants`: and of all that descends from it. */
export function residentBytes(pid: number, withDescendants = false): number {
  const pids = withDescendants ? processTree([pid]) : [pid]
  return pids.reduce((sum, each) => {
    const line = /^VmRSS:\s+([0-9]+) kB$/m.exec(readFileSync(`/proc/${each}/status`, 'utf8'))
    return sum + Number(line?.[1] ?? 0) * 1024
  }, 0)
}
