/** Programs to measure come in; they have one core for themselves while something runs, and the load generator the others. */
import { execFileSync, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** All threads of a process onto these cores, or its main one alone. */
const pin = (pid: number, cores: string, whom: 'all' | 'main'): void =>
  void execFileSync('taskset', [
    ...(whom === 'all' ? ['--all-tasks'] : []),
    ...['--cpu-list', '--pid', cores, String(pid)],
  ])

/**
 * The main thread of a process goes before all that isn't real-time (sched(7)), or is as others again. Its other threads
 * stay as they are, or code would never be compiled beside a busy main thread. Whoever isn't allowed to goes without.
 */
const first = (pid: number, isFirst: boolean): void =>
  void spawnSync('chrt', [...(isFirst ? ['--fifo', '--pid', '10'] : ['--other', '--pid', '0']), String(pid)])

/**
 * Runs `work` with the programs on core 0 and this process on the rest, before all else that runs there, so that a
 * latency is the server's, and not that of a generator or of some housekeeping of the machine which the kernel put in
 * its way. `work` must leave its core some time. On a machine with one core nothing is moved.
 */
export async function apart<T>(pids: readonly number[], work: () => Promise<T>): Promise<T> {
  const last = availableParallelism() - 1
  if (last === 0) return work()
  // The main threads of the programs alone: what they compile and collect beside runs where there is room.
  for (const pid of pids) pin(pid, '0', 'main')
  pin(process.pid, last === 1 ? '1' : `1-${last}`, 'all')
  const all = [process.pid, ...pids]
  for (const pid of all) first(pid, true)
  try {
    return await work()
  } finally {
    for (const pid of all) {
      first(pid, false)
      pin(pid, `0-${last}`, 'all')
    }
  }
}
