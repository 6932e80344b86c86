/** A real control and a real gateway in one process come out of a test's wishes, with people, their workspaces and the doors to them. */
import type { Test } from 'tap'
import { startGateway } from '../../gateway/index.ts'
import type { Gateway, GatewayOptions } from '../../gateway/seams.ts'
import type { ControlOptions } from '../../control/seams.ts'
import type { WorkspaceView } from '../../control/wire/index.ts'
import { type PretendAgent, pretendAgent } from './control-agent.ts'
import { type ControlServer, controlServer, password } from './control-server.ts'
import { memoryLog } from './gateway-edge.ts'
import { Client } from './product-client.ts'
import { freePorts } from './free-port.ts'

export interface Deployment {
  readonly control: ControlServer
  readonly gateway: Gateway
  readonly agent: PretendAgent
  readonly log: ReturnType<typeof memoryLog>
  readonly publicUrl: string
  /** Origin of path mode, where `byPath` turned it on. */
  readonly pathUrl: string
  readonly base: string
  /** Of the plain listener, the TLS one (0: none) and the forward-auth one. */
  readonly port: number
  readonly tlsPort: number
  readonly authzPort: number
  /** `ada`, the first administrator, signed in. */
  readonly administrator: Client
  /** Real time unless moved, in ms. */
  readonly clock: { ahead: number }
  /** A visitor with an empty jar. */
  visitor(token?: string): Client
  /** A member, made and signed in; the password is `password` of `control-server.ts`. */
  member(username: string): Promise<Client>
  /** A workspace, made by its owner and running; its ports are those of programs on 127.0.0.1. */
  workspace(
    owner: Client,
    name: string,
    ports: readonly Readonly<Record<string, unknown>>[],
  ): Promise<WorkspaceView>
  /** Whatever is desired now is reported as made real. */
  settle(): Promise<void>
  /** Origin of a workspace host. */
  origin(label: string): string
}

export interface DeploymentOptions {
  /** The made-up base, whose dashboard is `https://desk.fort.test` and workspaces `*.ws.fort.test`; else plain `ws.localhost`. */
  readonly madeUp?: { readonly certificates: NonNullable<GatewayOptions['certificates']> }
  /** Path mode is on. */
  readonly byPath?: boolean
  readonly gateway?: Partial<GatewayOptions>
  readonly control?: Partial<ControlOptions>
}

const here = (port: number) => ({ host: '127.0.0.1', port })
const portOf = (address: Gateway['addresses'][number] | null | undefined): number =>
  address && 'port' in address ? address.port : 0

/** Starts it; it ends with the test. */
export async function startDeployment(t: Test, options: DeploymentOptions = {}): Promise<Deployment> {
  const [free = 0] = await freePorts(1)
  const { madeUp } = options
  const publicUrl = madeUp === undefined ? `http://localhost:${free}` : 'https://desk.fort.test'
  const base = madeUp === undefined ? 'ws.localhost' : 'ws.fort.test'
  const pathUrl = madeUp === undefined ? `http://paths.localhost:${free}` : 'https://paths.fort.test'
  const paths = options.byPath === true ? { pathUrl } : {}
  const clock = { ahead: 0 }
  const now = () => Date.now() + clock.ahead
  const control = await controlServer({
    publicUrl,
    baseDomain: base,
    now,
    ...paths,
    ...options.control,
    stateDirectory: options.control?.stateDirectory ?? t.testdir({}),
  })
  t.teardown(() => control.close())
  const log = memoryLog()
  const gateway = await startGateway({
    listen: madeUp === undefined ? [here(free)] : [here(free), { ...here(0), speaks: 'https' }],
    ...(madeUp === undefined ? {} : { certificates: madeUp.certificates }),
    authzListen: here(0),
    publicUrl,
    baseDomain: base,
    trustedProxies: [],
    control: control.control.edge,
    app: control.control.app,
    flowKey: control.control.flowKey,
    log,
    now,
    ...paths,
    ...options.gateway,
  })
  t.teardown(() => gateway.close(0))
  await control.control.feed(gateway.sink)
  const agent = await pretendAgent(control.control.embeddedAgent(), now())
  const port = portOf(gateway.addresses[0])
  const visitor = (token?: string): Client => new Client(publicUrl, port, token)
  const administrator = visitor()
  const token = new URL((await control.control.setupUrl()) ?? '').searchParams.get('token')
  await administrator.must('POST', '/api/v1/setup', { token, username: 'ada', password })
  const settle = async (): Promise<void> => {
    const { workspaces } = await agent.desired()
    const running = workspaces.flatMap((entry) => (entry.want === 'running' ? [entry.spec.id] : []))
    const reach = { kind: 'address', host: '127.0.0.1' } as const
    await agent.obey(running.map((id) => ({ id, reach })))
  }
  return {
    control,
    gateway,
    agent,
    log,
    publicUrl,
    pathUrl,
    base,
    port,
    tlsPort: portOf(gateway.addresses[1]),
    authzPort: portOf(gateway.authzAddress),
    administrator,
    clock,
    visitor,
    async member(username) {
      await administrator.must('POST', '/api/v1/users', { username, password, role: 'member' })
      const member = visitor()
      await member.must('POST', '/api/v1/sessions', { username, password })
      return member
    },
    async workspace(owner, name, ports) {
      const made = await owner.must('POST', '/api/v1/workspaces', { name, image: 'any:1', ports })
      await settle()
      return owner.must<WorkspaceView & Record<string, unknown>>(
        'GET',
        `/api/v1/workspaces/${String(made['id'])}`,
      )
    },
    settle,
    origin: (label) =>
      madeUp === undefined ? `http://${label}.${base}:${free}` : `https://${label}.${base}`,
  }
}
