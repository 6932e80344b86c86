/** Whether the engine answers, and what an operator should know though it does. */
import type { Call, Health } from '@postern/plugin'
import { RuntimeError } from '@postern/plugin'
import { ask } from './engine.ts'
import type { Engine } from './engine.ts'

/** See `Runtime.health`; looks at the packet filter too. */
export async function health(engine: Engine, call: Call): Promise<Health> {
  try {
    const [said] = await Promise.all([
      ask(call.signal, 'ping', () => engine.docker.ping()),
      engine.firewall.ensure(),
    ])
    if (String(said) !== 'OK')
      return { status: 'unhealthy', message: `The engine answered ${String(said)} to a ping.` }
    const warnings = engine.firewall.warnings()
    return {
      status: 'healthy',
      message: 'The Docker Engine answers.',
      ...(warnings.length === 0 ? {} : { warnings }),
    }
  } catch (err) {
    call.signal.throwIfAborted()
    if (!RuntimeError.is(err)) throw err
    const message = err.fix === undefined ? err.message : `${err.message}. ${err.fix}`
    return { status: err.code === 'ERR_UNAVAILABLE' ? 'undetected' : 'unhealthy', message }
  }
}
