// An allowed visit comes in; the engine that carries it to the app comes out. The one place that chooses.
import type { EdgeRoute } from '../../control/wire/index.ts'
import type { Visit } from '../edge.ts'
import { CompatExchange } from './compat.ts'
import { Exchange } from './exchange.ts'
import type { Allowed, Relay } from './relay.ts'

function isLenient(route: EdgeRoute, port: number): boolean {
  for (const declared of route.ports) if (declared.port === port) return declared.lenient
  return false
}

/** The relay of one allowed visit, not yet started: strict, but on a port that its owner marked lenient. */
export function relayOf(visit: Visit, allowed: Allowed): Relay {
  return isLenient(allowed.route, allowed.port)
    ? new CompatExchange(visit, allowed)
    : new Exchange(visit, allowed)
}
