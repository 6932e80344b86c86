// An allowed visit comes in; the engine that carries it to the app comes out. The one place that chooses.
import type { Visit } from '../edge.ts'
import { Exchange } from './exchange.ts'
import type { Allowed, Relay } from './relay.ts'

/** The relay of one allowed visit, not yet started. */
export function relayOf(visit: Visit, allowed: Allowed): Relay {
  return new Exchange(visit, allowed)
}
