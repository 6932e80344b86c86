/** One stop: an id and a grace in; nothing runs any more after it. */
import type { Runtime } from '@postern/plugin'
import type { Action } from '../action.ts'

/** Ensures that the program is stopped; data stays. */
export async function stop(
  runtime: Runtime,
  action: Extract<Action, { do: 'stop' }>,
  call: { readonly signal: AbortSignal },
): Promise<null> {
  await runtime.stop(action.id, { signal: call.signal, graceMs: action.graceMs })
  return null
}
