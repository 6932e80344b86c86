/** One opened engine and how it is asked: a request in, its answer out, every failure as an error of the contract. */
import type { Logger } from '@postern/plugin'
import type Docker from 'dockerode'
import { engineError, statusOf } from './errors.ts'
import type { Firewall } from './firewall.ts'
import type { Owner } from './labels.ts'
import type { DockerConfig } from './options.ts'
import type { Turnstile } from './turnstile.ts'

/** What every verb works with. */
export interface Engine {
  readonly docker: Docker
  readonly owner: Owner
  readonly config: DockerConfig
  /** True where declared ports are published on 127.0.0.1 instead of dialled on the bridge. */
  readonly publishes: boolean
  readonly firewall: Firewall
  /** All that may be given to workspaces. */
  readonly gpus: readonly string[]
  /** Whether volumes have the size that they are made with. */
  readonly holdsDisks: boolean
  /** The engine's own parts of this machine. */
  readonly guarded: readonly string[]
  /** Through which each start goes that others' starts could spoil. */
  readonly turnstile: Turnstile
  readonly log: Logger
}

/**
 * Asks the engine, and waits no longer than the signal allows. `doing` goes into the error's message.
 * @throws the signal's reason, or RuntimeError
 */
export async function ask<T>(
  signal: AbortSignal,
  doing: string,
  request: (abortSignal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  try {
    return await orAborted(request(signal), signal)
  } catch (err) {
    signal.throwIfAborted()
    throw engineError(err, doing)
  }
}

/** For `.catch`: an answer of one of these statuses is `undefined`, all else stays an error. */
export function unless(...statuses: readonly number[]): (err: unknown) => undefined {
  return (err) => {
    const status = statusOf(err)
    if (status === undefined || !statuses.includes(status)) throw err
    return undefined
  }
}

/** Waits for all, so that nothing is at work when one has failed; then gives all, or throws the first failure. */
export async function together<T extends readonly unknown[]>(
  work: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  const results = await Promise.allSettled<unknown>(work as readonly Promise<unknown>[])
  for (const result of results) if (result.status === 'rejected') throw result.reason
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as unknown as T
}

/** What the promise gives, or the signal's reason at once. */
// Not every call of the SDK takes a signal, and those that do reject with an error of their own.
export function orAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
