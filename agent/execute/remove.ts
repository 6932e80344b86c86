/** One removal: an id in; the instance is gone after it, its data only where the action says so. */
import type { Runtime } from '@postern/plugin'
import type { Action } from '../action.ts'

/** Ensures that the instance is gone. */
export async function remove(
  runtime: Runtime,
  action: Extract<Action, { do: 'remove' }>,
  call: { readonly signal: AbortSignal },
): Promise<null> {
  await runtime.remove(action.id, { signal: call.signal, keepData: action.keepData })
  return null
}
