/** One start: a spec in, the running instance out. */
import type { Instance, Progress, Runtime, WorkspaceSpec } from '@postern/plugin'
import type { Action } from '../action.ts'

/** Ensures that the spec's instance runs, if the host's owner lets it; progress is passed on as the runtime tells it. */
export async function start(
  runtime: Runtime,
  action: Extract<Action, { do: 'start' }>,
  call: {
    readonly signal: AbortSignal
    readonly lawful: (spec: WorkspaceSpec) => Promise<WorkspaceSpec>
    readonly onProgress: (progress: Progress) => void
  },
): Promise<Instance> {
  const { lawful, ...rest } = call
  const spec = await lawful(action.spec)
  call.signal.throwIfAborted()
  return runtime.start(spec, rest)
}
