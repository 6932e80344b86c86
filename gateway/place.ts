// A Host and a request target come in; the place that they name, and what is asked of it there, come out.
import type { Edge } from './edge.ts'
import { type Place, placeOfHostHeader } from './host/host.ts'
import { pathTarget } from './host/path.ts'

const PLACES_MAX = 20_000

const places = new WeakMap<Edge, Map<string, Place>>()

/** Where a raw Host value leads; the same few are asked for all the time. */
export function placeFor(edge: Edge, host: string): Place {
  let known = places.get(edge)
  if (known === undefined) places.set(edge, (known = new Map()))
  const held = known.get(host)
  if (held !== undefined) return held
  const place = placeOfHostHeader(host, edge.site)
  // Names that are nobody's come in any number and length; to read one anew costs little.
  if (place.kind === 'elsewhere') return place
  if (known.size >= PLACES_MAX) known.clear()
  known.set(host, place)
  return place
}

/** A place, and a target there: origin form, without the prefix of path mode. */
export interface Asked {
  readonly place: Place
  readonly target: string
}

/** What an origin-form target asks for at a Host; what names no workspace by path stays at `paths`. */
export function askedAt(edge: Edge, host: string, target: string): Asked {
  const place = placeFor(edge, host)
  const named = place.kind === 'paths' ? pathTarget(target) : null
  return named?.kind === 'app' ? named : { place, target }
}
