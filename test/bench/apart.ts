/** Programs to measure come in; they have one core for themselves while something runs, and the load generator the others. */
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** All threads of a process onto these cores. */
const pin = (pid: number, cores: string): void =>
  void execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', cores, String(pid)])

/**
 * Runs `work` with the programs on core 0 and this process on the rest, so that a latency is the server's and not that
 * of a generator which the kernel put in its way. On a machine with one core nothing is moved.
 */
export async function apart<T>(pids: readonly number[], work: () => Promise<T>): Promise<T> {
  const last = availableParallelism() - 1
  if (last === 0) return work()
  for (const pid of pids) pin(pid, '0')
  pin(process.pid, last === 1 ? '1' : `1-${last}`)
  try {
    return await work()
  } finally {
    for (const pid of [process.pid, ...pids]) pin(pid, `0-${last}`)
  }
}
