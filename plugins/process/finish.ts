/** Ends every process of a workspace: asks, waits, then forces; and keeps on until none is left. */
import { setTimeout as pause } from 'node:timers/promises'
import { RuntimeError } from '@postern/plugin'
import type { Process } from './processes.ts'

const ROUNDS = 200
const ROUND_MS = 25

/** How a workspace's processes are found, and which of them is the wrapper that writes the exit code down. */
export interface Quarry {
  alive(): readonly Process[]
  isWrapper(one: Process): boolean
}

/** SIGTERM to all, and SIGKILL to those that are left after `graceMs`. @throws the signal's reason on abort. */
export async function finish(
  quarry: Quarry,
  call: { readonly graceMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const { signal } = call
  const deadline = performance.now() + call.graceMs
  for (const one of programsOf(quarry)) send(one, 'SIGTERM')
  while (quarry.alive().length > 0 && performance.now() < deadline) {
    await pause(Math.min(ROUND_MS, Math.max(deadline - performance.now(), 1)), undefined, { signal }).catch(
      () => signal.throwIfAborted(),
    )
  }
  await force(quarry, signal)
}

/** SIGKILL to all, again and again: stopped first, so that none can fork between two looks. */
export async function force(quarry: Quarry, signal: AbortSignal): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const alive = quarry.alive()
    if (alive.length === 0) return
    signal.throwIfAborted()
    const programs = alive.filter((one) => !quarry.isWrapper(one))
    for (const one of programs) send(one, 'SIGSTOP')
    for (const one of programs) send(one, 'SIGKILL')
    // The wrapper ends by itself once it has written the exit code; it is given a few rounds for that.
    if (programs.length === 0 && round > 20) for (const one of alive) send(one, 'SIGKILL')
    await pause(round === 0 ? 2 : ROUND_MS)
  }
  throw new RuntimeError('ERR_TIMEOUT', 'Processes of the workspace do not end, even by force.')
}

function programsOf(quarry: Quarry): Process[] {
  return quarry.alive().filter((one) => !quarry.isWrapper(one))
}

function send({ pid }: Process, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException
    if (code === 'ESRCH') return
    throw new RuntimeError('ERR_PERMISSION', `Process ${pid} of the workspace may not be signalled.`, {
      cause: err,
    })
  }
}
