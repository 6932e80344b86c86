/** Faults as data: which call of the fake goes wrong, how, and how often. */
import { RuntimeError } from '../errors.ts'
import type { RuntimeCode } from '../errors.ts'
import type { WorkspaceId } from '../spec.ts'

/** The verbs that a fault may be put on. */
export type FaultVerb = 'health' | 'list' | 'start' | 'stop' | 'remove' | 'connect' | 'watch'

/**
 * One thing that goes wrong. `times` (default 1; `Infinity`: until cleared) calls of `verb` are hit, of the given
 * workspace only where `id` is there.
 *
 * - `hang`: never settles until aborted; nothing is done
 * - `fail`: rejects with `code` before anything is done (on `list`: what is there is unknown)
 * - `reply-lost`: does the work, then rejects with `code` (default ERR_UNAVAILABLE): made, but the caller can't know
 * - `late`: does the work after `ms` of the fake's own `sleep`
 */
export type Fault = { readonly verb: FaultVerb; readonly id?: WorkspaceId; readonly times?: number } & (
  | { readonly kind: 'hang' }
  | { readonly kind: 'fail'; readonly code: RuntimeCode }
  | { readonly kind: 'reply-lost'; readonly code?: RuntimeCode }
  | { readonly kind: 'late'; readonly ms: number }
)

/** Waits; rejects with `signal.reason` on abort. */
export type Sleep = (ms: number, call: { readonly signal: AbortSignal }) => Promise<void>

/** The faults that are still to come. */
export interface FaultTable {
  inject(...faults: readonly Fault[]): void
  clear(): void
  /** Runs `work` as the next fault for this call says. */
  run<T>(
    call: { readonly verb: FaultVerb; readonly id?: WorkspaceId; readonly signal: AbortSignal },
    work: () => Promise<T>,
  ): Promise<T>
}

/** Makes a table; the first fault that fits a call is used up by it. */
export function faultTable(initial: readonly Fault[], sleep: Sleep): FaultTable {
  let waiting: { fault: Fault; left: number }[] = []
  const inject = (...faults: readonly Fault[]): void => {
    waiting.push(...faults.map((fault) => ({ fault, left: fault.times ?? 1 })))
  }
  inject(...initial)

  function take(verb: FaultVerb, id: WorkspaceId | undefined): Fault | undefined {
    const next = waiting.find(
      ({ fault }) => fault.verb === verb && (fault.id === undefined || fault.id === id),
    )
    if (next === undefined) return undefined
    next.left--
    waiting = waiting.filter((one) => one.left > 0)
    return next.fault
  }

  return {
    inject,
    clear() {
      waiting = []
    },
    async run({ verb, id, signal }, work) {
      signal.throwIfAborted()
      const fault = take(verb, id)
      if (fault?.kind === 'hang') return aborted(signal)
      if (fault?.kind === 'fail') throw new RuntimeError(fault.code, `A fault was put on ${verb}.`)
      if (fault?.kind === 'late') await sleep(fault.ms, { signal })
      const result = await work()
      if (fault?.kind === 'reply-lost')
        throw new RuntimeError(fault.code ?? 'ERR_UNAVAILABLE', `The reply to ${verb} was lost.`)
      return result
    },
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error)
    else signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}
