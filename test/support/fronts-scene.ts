/** An example file of a front, its ports put in place, runs before a real gateway: where a visitor connects comes out. */
import type { Test } from 'tap'
import type { EdgeFact } from '../../control/wire/index.ts'
import { startEdge, type TestEdge } from './fronts-edge.ts'
import { freePort } from './free-port.ts'
import { missingFront, startCaddy, startNginx, type FrontPorts } from './fronts-start.ts'

export interface ExampleFront {
  readonly name: string
  readonly file: string
  readonly program: 'nginx' | 'caddy'
  /** Postern moves the bytes; else the front does. */
  readonly passesOn: boolean
  readonly start: (file: string, ports: FrontPorts, directory: string) => Promise<{ stop(): Promise<void> }>
}

/** Every example file that is run in tests. */
export const exampleFronts: readonly ExampleFront[] = [
  {
    name: 'nginx passes everything on',
    file: 'nginx/pass-on.conf',
    program: 'nginx',
    passesOn: true,
    start: startNginx,
  },
  {
    name: 'nginx asks for the decision',
    file: 'nginx/decide.conf',
    program: 'nginx',
    passesOn: false,
    start: startNginx,
  },
  {
    name: 'Caddy passes everything on',
    file: 'caddy/pass-on.Caddyfile',
    program: 'caddy',
    passesOn: true,
    start: startCaddy,
  },
  {
    name: 'Caddy asks for the decision',
    file: 'caddy/decide.Caddyfile',
    program: 'caddy',
    passesOn: false,
    start: startCaddy,
  },
]

/** Options of a test of that front: skipped, with a sentence, where the program isn't installed. */
export function ifInstalled(front: ExampleFront): { skip?: string } {
  const missing = missingFront(front.program)
  return missing === null ? {} : { skip: missing }
}

export interface FrontScene {
  /** Where visitors connect. */
  readonly port: number
  readonly edge: TestEdge
}

/**
 * Starts both; they end with the test. `between` may put something between the front and Postern's forward auth: it gets
 * the port of forward auth and gives the one that the front shall ask.
 */
export async function startScene(
  t: Test,
  front: ExampleFront,
  facts: readonly EdgeFact[],
  between?: (authz: number) => Promise<number>,
): Promise<FrontScene> {
  const port = await freePort()
  const edge = await startEdge(facts, { publicUrl: `http://localhost:${port}` })
  t.teardown(() => edge.gateway.close(0))
  const authz = between === undefined ? edge.authz : await between(edge.authz)
  const running = await front.start(front.file, { front: port, postern: edge.main, authz }, t.testdir())
  t.teardown(() => running.stop())
  return { port, edge }
}
