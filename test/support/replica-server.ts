/** Control and its gateway in this process, on one port and one state directory through restarts; every call of gateways is seen. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readMachineId } from '../../control/cli/state-directory.ts'
import { openParts, type Parts } from '../../control/open.ts'
import type { GatewayView } from '../../control/wire/index.ts'
import { startGateway } from '../../gateway/index.ts'
import { pretendAgent } from './control-agent.ts'
import { listeningLog, password, roomy } from './control-server.ts'
import { freePorts } from './free-port.ts'
import { rawUpstream, type RawUpstream, type Script } from './gateway-bytes.ts'
import { Client } from './product-client.ts'
import type { GatewayProcess } from './product-gateway.ts'

/** 200 to all, and every WebSocket is taken (RFC 6455 §4.2.2). */
const program: Script = (request) => {
  const key = /\r\nsec-websocket-key: (\S+)/i.exec(request.head)?.[1]
  if (key === undefined) return void request.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  request.socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
}

/** One call that control was sent: by whom, as far as the kind of bearer tells. */
export interface SeenCall {
  readonly path: string
  readonly bearer: string
  /** Of `X-Postern-Visitor`. */
  readonly visitor: string
}

export class ReplicaServer {
  readonly url: string
  readonly port: number
  readonly home: string
  readonly upstream: RawUpstream
  readonly admin: Client
  readonly log = listeningLog()
  readonly calls: SeenCall[] = []
  parts!: Parts
  #gateway: Awaited<ReturnType<typeof startGateway>> | null = null
  readonly #tokenMs: number

  constructor(home: string, port: number, upstream: RawUpstream, tokenMs: number) {
    this.home = home
    this.port = port
    this.url = `http://localhost:${port}`
    this.upstream = upstream
    this.admin = new Client(this.url, port)
    this.#tokenMs = tokenMs
  }

  /** Again on what the last one left. */
  async start(): Promise<void> {
    const [publicUrl, baseDomain] = [this.url, 'ws.localhost']
    this.parts = await openParts(
      {
        stateDirectory: join(this.home, 'state'),
        databaseUrl: null,
        publicUrl,
        baseDomain,
        machineId: await readMachineId(this.home),
        templateDirectories: [],
        limits: roomy,
        auditRetentionMs: 400 * 86_400_000,
        gatewayTokenMs: this.#tokenMs,
        webRoot: null,
        version: '0.0.0-test',
        log: this.log,
        now: Date.now,
      },
      { n: 4, r: 8, p: 1 },
    )
    const { control } = this.parts
    this.#gateway = await startGateway({
      listen: [{ host: '127.0.0.1', port: this.port }],
      authzListen: null,
      publicUrl,
      baseDomain,
      trustedProxies: [],
      control: control.edge,
      app: {
        request: (req, res, identity, origin) => {
          this.#see(req)
          control.app.request(req, res, identity, origin)
        },
        upgrade: (req, socket, head, identity, origin) => {
          this.#see(req)
          control.app.upgrade(req, socket, head, identity, origin)
        },
      },
      flowKey: control.flowKey,
      isGateway: (token) => control.isGateway(token),
      log: this.log,
      now: Date.now,
    })
    await control.feed(this.#gateway.sink)
  }

  async stop(): Promise<void> {
    const gateway = this.#gateway
    this.#gateway = null
    if (gateway === null) return
    this.parts.control.release()
    await gateway.close(0)
    await this.parts.control.close()
  }

  #see({ url = '', headers }: { url?: string | undefined; headers: NodeJS.Dict<string | string[]> }): void {
    const [bearer, visitor] = [headers['authorization'], headers['x-postern-visitor']].map((each) =>
      String(each ?? '').replace(/^Bearer /, ''),
    )
    this.calls.push({ path: url.split('?', 1)[0] ?? '', bearer: bearer ?? '', visitor: visitor ?? '' })
  }

  /** How often a path was asked for. */
  asked(path: string): number {
    return this.calls.filter((call) => call.path === path).length
  }

  async gateways(): Promise<readonly GatewayView[]> {
    return (await this.admin.must<{ items: GatewayView[] }>('GET', '/api/v1/gateways')).items
  }

  /** A running workspace of `owner`, whose one port is the upstream's; gives its id. */
  async workspace(owner: Client, name: string, visibility = 'owner'): Promise<string> {
    const { id } = await owner.must<{ id: string }>('POST', '/api/v1/workspaces', {
      name,
      image: 'x',
      ports: [{ port: this.upstream.port, visibility }],
    })
    const machineId = await readMachineId(this.home)
    const agent = await pretendAgent(this.parts.control.embeddedAgent(), Date.now(), { machineId })
    const ids = (await agent.desired()).workspaces.map((entry) =>
      entry.want === 'running' ? entry.spec.id : entry.id,
    )
    await agent.obey(ids.map((each) => ({ id: each, reach: { kind: 'address', host: '127.0.0.1' } })))
    return id
  }

  /** A new user, signed in here. */
  async member(username: string): Promise<void> {
    await this.admin.must('POST', '/api/v1/users', { username, password })
  }
}

/** Starts it with `admin` as its administrator; ends with the test. Tokens of gateways last `tokenMs`. */
export async function startReplicaServer(t: Test, tokenMs: number): Promise<ReplicaServer> {
  const home = await mkdtemp(join(tmpdir(), 'postern-gwtokens-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const [port = 0] = await freePorts(1)
  const upstream = await rawUpstream(program)
  t.teardown(() => upstream.close())
  const server = new ReplicaServer(home, port, upstream, tokenMs)
  await server.start()
  t.teardown(() => server.stop())
  const token = new URL((await server.parts.control.setupUrl()) ?? '').searchParams.get('token')
  await server.admin.must('POST', '/api/v1/setup', { token, username: 'admin', password })
  return server
}

/** Signed in at the replica, and on the workspace's host through it. */
export async function visitorOf(gateway: GatewayProcess, username: string, page: string): Promise<Client> {
  const visitor = gateway.client()
  const answer = await visitor.submit('/sign-in', { username, password })
  if (answer.status !== 303) throw new Error(`${answer.status} ${answer.text}`)
  const first = await visitor.browse(page)
  const [, host = '', c = ''] =
    /name="host" value="([^"]+)".*?name="c" value="([^"]+)"/s.exec(first.text) ?? []
  // What somebody else made is opened by a press of a button.
  const agreed = c === '' ? null : await visitor.submit('/.postern/authorize', { host, c })
  const last = agreed === null ? first : await visitor.browse(agreed.headers.location ?? '')
  if (last.text !== 'ok') throw new Error(`${last.status} ${/<title>.*?</.exec(last.text)?.[0]}`)
  return visitor
}

/** A workspace host's page. */
export const pageOf = (server: ReplicaServer, label: string): string =>
  `http://${label}.ws.localhost:${server.port}/`
