/** An opened engine leaves as the contract's Runtime: each verb guarded against use after close. */
import { setMaxListeners } from 'node:events'
import { RuntimeError } from '@postern/plugin'
import type { Call, Runtime } from '@postern/plugin'
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
export function dockerRuntime(engine: Engine): Runtime {
  const closing = new AbortController()
  const starts: Starts = new Map()

  function check(call: Call): void {
    if (closing.signal.aborted) throw new RuntimeError('ERR_CLOSED', 'The runtime has been closed.')
    call.signal.throwIfAborted()
  }
  /** Runs a verb whose many requests share one listener on the caller's signal. */
  async function within<C extends Call, T>(call: C, verb: (call: C) => Promise<T>): Promise<T> {
    check(call)
    const controller = new AbortController()
    setMaxListeners(0, controller.signal)
    const abort = () => controller.abort(call.signal.reason)
    call.signal.addEventListener('abort', abort, { once: true })
    try {
      return await verb({ ...call, signal: controller.signal })
    } finally {
      call.signal.removeEventListener('abort', abort)
    }
  }
  /** Watching and following end with the runtime; the caller's own reason comes first. */
  function untilClosed<C extends Call>(call: C): C {
    check(call)
    return { ...call, signal: AbortSignal.any([call.signal, closing.signal]) }
  }

  return {
    workspaceSubnets: [engine.config.subnetPool],
    health: (call) => within(call, (inner) => health(engine, inner)),
    list: (call) => within(call, (inner) => list(engine, starts, inner)),
    start: (spec, call) => within(call, (inner) => start(engine, spec, inner)),
    stop: (id, call) => within(call, (inner) => stop(engine, id, inner)),
    remove: (id, call) => within(call, (inner) => remove(engine, id, inner)),
    connect: (id, port, call) => within(call, (inner) => connect(engine, id, port, inner)),
    watch: (call) => watch(engine, untilClosed(call)),
    logs: (id, query) => logs(engine, id, untilClosed(query)),
    close() {
      closing.abort(new RuntimeError('ERR_CLOSED', 'The runtime has been closed.'))
      return Promise.resolve()
    },
  }
}
