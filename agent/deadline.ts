/** Bounds a call in time: a call that takes a signal in, its answer or ERR_TIMEOUT out. */
import { RuntimeError } from '@postern/plugin'
import type { Clock } from './seams.ts'

/** How long a call may take to heed its abort before it is left behind, in milliseconds. */
const heedMs = 5_000

/**
 * The answer of `call`, which is aborted after `ms` or with `signal`. A call that ignores its abort is left behind
 * after 5 s, so that one broken verb holds nobody for ever.
 * @throws RuntimeError ERR_TIMEOUT; `signal.reason`; what `call` rejects with
 */
export async function withDeadline<T>(
  clock: Clock,
  limit: { readonly ms: number; readonly signal: AbortSignal },
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  limit.signal.throwIfAborted()
  const inner = new AbortController()
  const over = new AbortController()
  const onAbort = (): void => inner.abort(limit.signal.reason)
  limit.signal.addEventListener('abort', onAbort, { once: true })
  const late = (async (): Promise<never> => {
    await Promise.race([pause(clock, limit.ms, over.signal), aborted(inner.signal, over.signal)])
    if (!inner.signal.aborted) {
      inner.abort(new RuntimeError('ERR_TIMEOUT', `no answer within ${Math.round(limit.ms / 1000)} s`))
    }
    await pause(clock, heedMs, over.signal)
    throw inner.signal.reason
  })()
  late.catch(() => undefined) // raced below; when the call wins, nobody listens
  try {
    return await Promise.race([call(inner.signal), late])
  } finally {
    over.abort(new Error('settled'))
    limit.signal.removeEventListener('abort', onAbort)
  }
}

async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await clock.sleep(ms, { signal })
}

function aborted(signal: AbortSignal, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => resolve()
    signal.addEventListener('abort', done, { once: true })
    over.addEventListener('abort', done, { once: true })
  })
}
