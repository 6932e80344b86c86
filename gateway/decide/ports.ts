// Pure. A workspace's route and a port, or a request target, come in; what is declared of the port, or the port that is meant, comes out.
import {
  type EdgePath,
  type EdgePort,
  type EdgeRoute,
  portDefaults,
  type Visibility,
} from '../../control/wire/index.ts'

const SLASH = 0x2f
const QUERY = 0x3f

/** What is declared of a port; undefined: nothing is. */
export function declaredPort(route: EdgeRoute, port: number | null): EdgePort | undefined {
  for (const declared of route.ports) if (declared.port === port) return declared
  return undefined
}

/** Who may use a port; one that isn't declared is its owner's alone. */
export function visibilityOf(route: EdgeRoute, port: number | null): Visibility {
  return declaredPort(route, port)?.visibility ?? portDefaults.visibility
}

/** The version of the password before a port: its own, or that of the whole workspace; null: none. */
export function passwordOf(route: EdgeRoute, port: number | null): string | null {
  if (route.passwords === undefined) return null
  let version: string | null = null
  for (const password of route.passwords) {
    if (password.port === port && port !== null) return password.version
    if (password.port === null) version = password.version
  }
  return version
}

/** Whose business calls from other ports' pages are: the edge's (`siblings`) or the app's own. */
export function corsOf(route: EdgeRoute, port: number | null): EdgePort['cors'] {
  return declaredPort(route, port)?.cors ?? portDefaults.cors
}

/**
 * The port that a composed host gives a target to: that of the longest prefix which ends where a segment does; null:
 * none fits. It goes by the raw bytes alone, which pass to the app unchanged, and it is asked once for a request, so
 * that policy and app can't read `/%61pi`, `//api` or `/x/../api` differently.
 */
export function composedPort(paths: readonly EdgePath[], target: string): number | null {
  let port: number | null = null
  let longest = 0
  for (const path of paths) {
    const { length } = path.prefix
    if (length <= longest || !target.startsWith(path.prefix)) continue
    const after = length === 1 || length === target.length ? SLASH : target.charCodeAt(length)
    if (after !== SLASH && after !== QUERY) continue
    port = path.port
    longest = length
  }
  return port
}

/** The one port that a host leads to: the label's own, or its alias's; null: the default app, with its paths. */
export function namedPort(
  route: EdgeRoute,
  place: { readonly name: string; readonly port: number | null },
): number | null {
  if (place.port !== null || route.aliasPorts === undefined) return place.port
  for (const alias of route.aliasPorts) if (alias.name === place.name) return alias.port
  return null
}

/** The ports that can be reached on a host: the one that it names, or all of which the default host is composed. */
export function portsOfHost(
  route: EdgeRoute,
  place: { readonly name: string; readonly port: number | null },
): readonly (number | null)[] {
  const named = namedPort(route, place)
  return named === null ? [route.defaultPort, ...route.paths.map(({ port }) => port)] : [named]
}
