/** One start: a spec in, the running instance out. */
import type { Instance, Progress, Runtime } from '@postern/plugin'
import type { Action } from '../action.ts'

/** Ensures that the spec's instance runs; progress is passed on as the runtime tells it. */
export function start(
  runtime: Runtime,
  action: Extract<Action, { do: 'start' }>,
  call: { readonly signal: AbortSignal; readonly onProgress: (progress: Progress) => void },
): Promise<Instance> {
  return runtime.start(action.spec, call)
}
