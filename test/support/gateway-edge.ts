// A gateway over the fake control and a raw upstream, and the doors that every decision is tried through.
import type { Test } from 'tap'
import { WebSocketServer } from 'ws'
import type { Logger } from '@postern/plugin'
import { startGateway } from '../../gateway/index.ts'
import type { Gateway, GatewayOptions } from '../../gateway/seams.ts'
import { type EdgeRoute, portDefaults, userOf } from '../../control/wire/index.ts'
import {
  ACCEPTED,
  type Answer,
  type Ask,
  always,
  ask,
  exchange,
  OK,
  parseAnswer,
  rawClient,
  type RawUpstream,
  rawUpstream,
  type Script,
  webSocketBytes,
} from './gateway-bytes.ts'
import { http2Door } from './http2-door.ts'
import { sharedAuthority } from './tls-authority.ts'
import type { CertificateFiles } from '../../gateway/tls/certificates.ts'
import { FakeControl, routeRow, userRow } from './gateway-control.ts'

/** What was logged at warn and error; a test may look that nothing was. */
export function memoryLog(): Logger & { readonly lines: string[] } {
  const lines: string[] = []
  const keep = (message: string, fields?: Readonly<Record<string, unknown>>): void =>
    void lines.push(`${message} ${fields?.err instanceof Error ? (fields.err.stack ?? '') : ''}`)
  const log = {
    lines,
    debug: () => undefined,
    info: () => undefined,
    warn: keep,
    error: keep,
    child: () => log,
  }
  return log
}

/** A gateway under test. */
export interface EdgeUnderTest {
  readonly gateway: Gateway
  readonly control: FakeControl
  readonly upstream: RawUpstream
  readonly log: ReturnType<typeof memoryLog>
  readonly port: number
  /** TLS, with HTTP/2; 0: none. */
  readonly tlsPort: number
  readonly authzPort: number
  /** Requests that reached the dashboard's app, as `<method> <url> <identity>`. */
  readonly appCalls: string[]
  /** A workspace of alice with the upstream's port declared at a visibility. */
  workspace(
    name: string,
    more?: Partial<EdgeRoute>,
    visibility?: EdgeRoute['ports'][number]['visibility'],
  ): EdgeRoute
  /** A signed-in browser's cookie for a workspace host. */
  cookie(userId: string, route: EdgeRoute, label?: string): string
}

let pair: CertificateFiles | null = null

/** A plain listener, and one of TLS where a certificate can be made. */
function tlsToo(): Pick<GatewayOptions, 'listen' | 'certificates'> {
  const plain = { host: '127.0.0.1', port: 0 } as const
  pair ??= sharedAuthority()?.issue('edge', ['localhost', '*.ws.localhost']) ?? null
  if (pair === null) return { listen: [plain] }
  return { listen: [plain, { ...plain, speaks: 'https' }], certificates: [pair] }
}

/** Starts it; closed at the test's end. Users alice (member), bob (member) and root (administrator) exist. */
export async function startEdge(
  t: Test,
  more: Partial<GatewayOptions> & { script?: Script; isUnready?: boolean } = {},
): Promise<EdgeUnderTest> {
  const { script, isUnready, ...options } = more
  const control = new FakeControl()
  const upstream = await rawUpstream(script ?? always(OK))
  t.teardown(() => upstream.close())
  const appCalls: string[] = []
  const log = memoryLog()
  const sockets = new WebSocketServer({ noServer: true })
  const gateway = await startGateway({
    ...tlsToo(),
    authzListen: { host: '127.0.0.1', port: 0 },
    publicUrl: 'http://localhost:8090',
    baseDomain: 'ws.localhost',
    trustedProxies: [],
    control,
    app: {
      request(req, res, identity) {
        appCalls.push(`${req.method} ${req.url} ${userOf(identity)?.id ?? '-'}`)
        res.end('app')
      },
      upgrade(req, socket, head, identity) {
        appCalls.push(`UPGRADE ${req.url} ${userOf(identity)?.id ?? '-'}`)
        sockets.handleUpgrade(req, socket, head, (ws) => ws.send('hello'))
      },
    },
    log,
    now: () => control.nowMs(),
    ...options,
  })
  control.sink = gateway.sink
  if (isUnready !== true) gateway.sink.reset(1, [])
  for (const row of [userRow('alice'), userRow('bob'), userRow('root', { role: 'administrator' })])
    control.user(row)
  t.teardown(() => gateway.close(0))
  const [address, tlsAddress] = gateway.addresses
  return {
    gateway,
    control,
    upstream,
    log,
    port: address !== undefined && 'port' in address ? address.port : 0,
    tlsPort: tlsAddress !== undefined && 'port' in tlsAddress ? tlsAddress.port : 0,
    authzPort:
      gateway.authzAddress !== null && 'port' in gateway.authzAddress ? gateway.authzAddress.port : 0,
    appCalls,
    workspace(name, row = {}, visibility = 'owner') {
      const ports = [{ ...portDefaults, port: upstream.port, visibility }]
      const route = routeRow(name, { ports, defaultPort: upstream.port, ...row })
      control.route(route)
      return route
    },
    cookie(userId, route, label = route.name) {
      return `postern_workspace=${control.child(control.session(userId), route.workspaceId, label)}`
    },
  }
}

/** One door: the status that a visitor's request gets there; 200 or 101 is the only yes. */
export interface Door {
  readonly name: 'http' | 'upgrade' | 'forward-auth' | 'http2'
  try(request: Ask): Promise<Answer>
}

async function tryUpgrade(port: number, request: Ask): Promise<Answer> {
  const client = await rawClient(port)
  client.send(webSocketBytes(request))
  await client.received(/\r\n\r\n/)
  client.socket.destroy()
  return parseAnswer(client.text())
}

/** All doors of a gateway; each tries the same request in its own way. */
export function doorsOf(edge: EdgeUnderTest): Door[] {
  return [
    { name: 'http', try: (request) => ask(edge.port, request) },
    { name: 'upgrade', try: (request) => tryUpgrade(edge.port, request) },
    {
      name: 'forward-auth',
      try: (request) =>
        exchange(
          edge.authzPort,
          `GET /api/authz/forward-auth HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Method: ${request.method ?? 'GET'}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ${request.host}\r\nX-Forwarded-Uri: ${request.path ?? '/'}\r\n${(request.headers ?? []).map((line) => `${line}\r\n`).join('')}Connection: close\r\n\r\n`,
        ),
    },
    ...(edge.tlsPort === 0 ? [] : [{ name: 'http2' as const, try: http2Door(edge.tlsPort) }]),
  ]
}

/** An upstream that takes WebSockets and answers all else with 200. */
export const webAndSocket: Script = ({ head, socket }) =>
  void socket.write(/\r\nupgrade: websocket/i.test(head) ? ACCEPTED : OK)

/** Origin of a workspace host, as browsers send it. */
export const originOf = (label: string): string => `Origin: http://${label}.ws.localhost:8090`
