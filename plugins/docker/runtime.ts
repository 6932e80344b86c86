/** An opened engine leaves as the contract's Runtime: each verb guarded against use after close. */
import { setMaxListeners } from 'node:events'
import { RuntimeError } from '@postern/plugin'
import type { Call, Capabilities, Runtime, WorkspaceId } from '@postern/plugin'
import { connect } from './connect.ts'
import { remove, stop } from './end.ts'
import type { Engine } from './engine.ts'
import { health } from './health.ts'
import { list } from './list.ts'
import type { Starts } from './list.ts'
import { logs } from './logs.ts'
import { start } from './start.ts'
import { watch } from './watch.ts'

/** The Runtime of an engine. It holds nothing that outlives `close` but streams already handed out by `connect`. */
export function dockerRuntime(engine: Engine, capabilities: Capabilities): Runtime {
  const closing = new AbortController()
  const starts: Starts = new Map()

  function check(call: Call): void {
    if (closing.signal.aborted) throw new RuntimeError('ERR_CLOSED', 'The runtime has been closed.')
    call.signal.throwIfAborted()
  }
  async function within<C extends Call, T>(call: C, verb: (call: C) => Promise<T>): Promise<T> {
    check(call)
    // One call makes many requests, and each listens on its signal for as long as it lasts.
    setMaxListeners(0, call.signal)
    return verb(call)
  }
  /** Watching and following end with the runtime; the caller's own reason comes first. */
  function untilClosed<C extends Call>(call: C): C {
    check(call)
    return { ...call, signal: AbortSignal.any([call.signal, closing.signal]) }
  }

  return {
    workspaceSubnets: [engine.config.subnetPool],
    capabilities,
    gpus: engine.gpus.length,
    guarded: engine.guarded,
    health: (call) => within(call, (inner) => health(engine, inner)),
    list: (call) => within(call, (inner) => list(engine, starts, inner)),
    start: (spec, call) => within(call, (inner) => start(engine, spec, inner)),
    stop: (id, call) => within(call, (inner) => stop(engine, id, inner)).finally(() => starts.delete(id)),
    remove: (id, call) => within(call, (inner) => remove(engine, id, inner)),
    connect: (id, port, call) => within(call, (inner) => connect(engine, id, port, inner)),
    watch: (call) => forgetting(watch(engine, untilClosed(call)), starts),
    logs: (id, query) => logs(engine, id, untilClosed(query)),
    close() {
      closing.abort(new RuntimeError('ERR_CLOSED', 'The runtime has been closed.'))
      return Promise.resolve()
    },
  }
}

/** Hints as they come, each making the next list look at what it is about anew. */
async function* forgetting(
  hints: AsyncIterable<WorkspaceId | '*'>,
  starts: Starts,
): AsyncGenerator<WorkspaceId | '*'> {
  for await (const hint of hints) {
    if (hint === '*') starts.clear()
    else starts.delete(hint)
    yield hint
  }
}
