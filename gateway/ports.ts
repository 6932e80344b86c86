// Pure. A workspace's route and a port come in; what is declared of the port comes out.
import type { EdgePort, EdgeRoute } from '../control/wire/index.ts'

/** What is declared of a port; undefined: nothing is. */
export function declaredPort(route: EdgeRoute, port: number | null): EdgePort | undefined {
  for (const declared of route.ports) if (declared.port === port) return declared
  return undefined
}
