/** The built product runs as a person would run it, standalone or as server and agent; its first administrator comes out. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from './product-client.ts'
import { freePorts } from './free-port.ts'
import { CliProcess } from './product-process.ts'
import { until } from './until.ts'

export type Mode = 'standalone' | 'split'

export interface ProductOptions {
  /** `standalone`: one process. `split`: `postern server` and `postern agent`. */
  readonly mode?: Mode
  readonly runtime?: string
  /** More words for the server (and for standalone), such as `['--trash-period', '2s']`. */
  readonly args?: readonly string[]
  readonly agentArgs?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** YAML of the configuration file of all processes. */
  readonly configFile?: string
  /** False: nobody is made administrator; `admin` is signed out then. */
  readonly setup?: boolean
}

export const adminName = 'admin'
export const adminPassword = 'correct horse battery'

interface TestLike {
  teardown(run: () => unknown): void
}

/** A running Postern on free ports with a state directory of its own. */
export class Product {
  readonly mode: Mode
  readonly port: number
  readonly authzPort: number
  readonly baseDomain = 'ws.localhost'
  /** Origin of the dashboard. */
  readonly url: string
  /** Home of all its processes; `state` and `agent-state` are in it. */
  readonly home: string
  readonly stateDirectory: string
  readonly agentStateDirectory: string
  server!: CliProcess
  /** Null in standalone. */
  agent: CliProcess | null = null
  setupUrl: string | null = null
  /** Signed in by session cookie, unless `setup` was false. */
  admin: Client
  readonly #options: ProductOptions

  constructor(home: string, port: number, authzPort: number, options: ProductOptions) {
    this.mode = options.mode ?? 'standalone'
    this.home = home
    this.port = port
    this.authzPort = authzPort
    this.url = `http://localhost:${port}`
    this.stateDirectory = join(home, 'state')
    this.agentStateDirectory = this.mode === 'split' ? join(home, 'agent-state') : this.stateDirectory
    this.#options = options
    this.admin = this.client()
  }

  /** A visitor with an empty jar; with a token, its API calls carry it. */
  client(token?: string): Client {
    return new Client(this.url, this.port, token)
  }

  /** `<label>.<base>` with the product's port. */
  workspaceUrl(label: string, path = '/'): string {
    return `http://${label}.${this.baseDomain}:${this.port}${path}`
  }

  /** Starts the server (or standalone) and waits until it is ready. */
  async startServer(): Promise<void> {
    this.server = new CliProcess({
      home: this.home,
      args: [
        this.mode === 'split' ? 'server' : 'standalone',
        `--listen=127.0.0.1:${this.port}`,
        `--authz-listen=127.0.0.1:${this.authzPort}`,
        `--state-directory=${this.stateDirectory}`,
        ...this.#configArgs(),
        ...(this.mode === 'standalone' ? this.#runtimeArgs() : []),
        ...(this.#options.args ?? []),
      ],
      env: this.#options.env ?? {},
    })
    await this.server.printed(/ answers on (\S+)/)
    this.setupUrl = /^Set up Postern: (\S+)$/m.exec(this.server.stdout)?.[1] ?? null
    await until(async () => (await this.client().ask('/readyz')).status === 200, { what: '/readyz' })
  }

  /** Starts the agent's process; `joinToken` is needed the first time. */
  async startAgent(joinToken?: string): Promise<void> {
    const file = join(this.home, 'join-token')
    if (joinToken !== undefined) await writeFile(file, `${joinToken}\n`, { mode: 0o600 })
    this.agent = new CliProcess({
      home: this.home,
      args: [
        'agent',
        `--server-url=http://127.0.0.1:${this.port}`,
        `--state-directory=${this.agentStateDirectory}`,
        '--log-directory=-',
        '--deployment-name=test-host',
        ...(joinToken === undefined ? [] : [`--join-token-file=${file}`]),
        ...this.#configArgs(),
        ...this.#runtimeArgs(),
        ...(this.#options.agentArgs ?? []),
      ],
      env: this.#options.env ?? {},
    })
    await this.agent.printed(/ runs workspaces by /)
  }

  /** The first administrator by REST, with the token of the printed link. */
  async setUp(): Promise<void> {
    const token = new URL(this.setupUrl ?? '').searchParams.get('token')
    await this.admin.must('POST', '/api/v1/setup', { token, username: adminName, password: adminPassword })
  }

  /** Makes a member and signs them in. */
  async member(username: string): Promise<Client> {
    const password = `password of ${username}`
    await this.admin.must('POST', '/api/v1/users', { username, password, role: 'member' })
    const client = this.client()
    await client.must('POST', '/api/v1/sessions', { username, password })
    return client
  }

  /** Waits until a host is connected. */
  async hostReady(): Promise<void> {
    const connected = async () => {
      const { items } = await this.admin.must<{ items: { connected: boolean }[] }>('GET', '/api/v1/hosts')
      return items.some((host) => host.connected)
    }
    await until(connected, { timeoutMs: 20_000, what: 'a connected host' })
  }

  /** All of its processes are ended (SIGTERM unless said otherwise) and started again on the same state. */
  async restart(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await Promise.all([this.server.end(signal), this.agent?.end(signal)])
    await this.startServer()
    if (this.mode === 'split') await this.startAgent()
  }

  /** Removes what it made, as far as it can still be asked, and ends it. */
  async close(): Promise<void> {
    if (this.server.running) await this.#purgeAll().catch(() => undefined) // the test has told its own result
    await Promise.all([this.agent?.end(), this.server.end()])
    await rm(this.home, { recursive: true, force: true })
  }

  async #purgeAll(): Promise<void> {
    type List = { items: { id: string }[] }
    const list = () => this.admin.must<List>('GET', '/api/v1/workspaces?owner=all&limit=500')
    const { items } = await list()
    for (const { id } of items) await this.admin.api('DELETE', `/api/v1/workspaces/${id}?purge=true`)
    await until(async () => (await list()).items.length === 0, {
      timeoutMs: 20_000,
      what: 'all to be purged',
    })
  }

  #runtimeArgs(): string[] {
    return this.#options.runtime === undefined ? [] : [`--runtime=${this.#options.runtime}`]
  }

  #configArgs(): string[] {
    return this.#options.configFile === undefined ? [] : [`--config=${join(this.home, 'config.yml')}`]
  }
}

/** Starts one, sets it up, and ends it with the test. Administrator: `admin` / `correct horse battery`. */
export async function startProduct(t: TestLike, options: ProductOptions = {}): Promise<Product> {
  const home = await mkdtemp(join(tmpdir(), 'postern-test-'))
  const [port = 0, authzPort = 0] = await freePorts(2)
  if (options.configFile !== undefined) await writeFile(join(home, 'config.yml'), options.configFile)
  const product = new Product(home, port, authzPort, options)
  t.teardown(() => product.close())
  await product.startServer()
  if (options.setup === false) return product
  await product.setUp()
  if (product.mode === 'split') {
    const { token } = await product.admin.must<{ token: string }>('POST', '/api/v1/hosts/tokens', {
      name: 'test-host',
    })
    await product.startAgent(token)
  }
  await product.hostReady()
  return product
}
