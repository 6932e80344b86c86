// An allowed visit comes in; the engine that carries it to the app comes out. The one place that chooses.
import type { Visit } from '../edge.ts'
import { declaredPort } from '../decide/ports.ts'
import { CompatExchange } from './compat.ts'
import { Exchange } from './exchange.ts'
import type { Allowed, Relay } from './relay.ts'

/** The relay of one allowed visit, not yet started: strict, but on a port that its owner marked lenient. */
export function relayOf(visit: Visit, allowed: Allowed): Relay {
  return declaredPort(allowed.route, allowed.port)?.lenient === true
    ? new CompatExchange(visit, allowed)
    : new Exchange(visit, allowed)
}
