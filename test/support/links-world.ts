/** A real control and a real gateway in one process, raw apps behind them: what links and passwords open, as visitors see it. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { openParts, type Parts } from '../../control/open.ts'
import type { Visibility, WorkspaceView } from '../../control/wire/index.ts'
import { startGateway } from '../../gateway/index.ts'
import { pretendAgent } from './control-agent.ts'
import { listeningLog, password, usualOptions } from './control-server.ts'
import {
  type Answer,
  type Ask,
  parseAnswer,
  rawClient,
  type RawUpstream,
  rawUpstream,
  requestBytes,
} from './gateway-bytes.ts'
import { hashOf } from './gateway-control.ts'
import { memoryLog, webAndSocket } from './gateway-edge.ts'

/** Sends bytes and reads until the connection ends, also where the machine is busy with much else. */
export async function exchange(port: number, bytes: string): Promise<Answer> {
  const client = await rawClient(port)
  client.send(bytes)
  await client.closed(60_000)
  return parseAnswer(client.text())
}

/** Asks and reads the answer, as patiently. */
export const ask = (port: number, request: Ask): Promise<Answer> => exchange(port, requestBytes(request))

export const origin = { ip: '192.0.2.1', userAgent: 'test', requestId: 'test' }

/** Somebody with an account: an API token, and a dashboard session's cookie value. */
export interface Person {
  readonly username: string
  readonly id: string
  readonly token: string
  readonly session: string
}

/** An answer of the API. */
export interface Told {
  readonly status: number
  readonly text: string
  readonly json: Record<string, unknown> & { items: Record<string, unknown>[] }
}

export interface LinksWorld extends Parts {
  readonly port: number
  readonly authzPort: number
  readonly apps: readonly [RawUpstream, RawUpstream]
  readonly clock: { now: number }
  /** Everything that was logged, and every access line. */
  readonly said: readonly string[]
  readonly ada: Person
  /** The host does what is desired of it now. */
  agent(): Promise<void>
  member(username: string): Promise<Person>
  api(who: Person, method: string, path: string, body?: unknown): Promise<Told>
  /** A running workspace of ada; its ports are those of the two apps. */
  workspace(name: string, first: Visibility, second?: Visibility): Promise<WorkspaceView>
  /** Sets who may open the apps' ports. */
  opens(id: string, first: Visibility, second?: Visibility): Promise<void>
  /** Makes a link, and gives the secret. */
  link(id: string, asked?: Record<string, unknown>): Promise<{ id: string; url: string; secret: string }>
  /** The cookie of a person's session on a workspace host, as the hand-off gives it. */
  cookieOf(who: Person, workspaceId: string, label: string): Promise<string>
}

/** Starts it; all ends with the test. `databaseUrl` null: SQLite. */
export async function linksWorld(t: Test, databaseUrl: string | null = null): Promise<LinksWorld> {
  const stateDirectory = await mkdtemp(join(tmpdir(), 'postern-links-'))
  t.teardown(() => rm(stateDirectory, { recursive: true, force: true }))
  const clock = { now: Date.now() }
  const log = listeningLog()
  const said: string[] = log.lines
  const apps = [await rawUpstream(webAndSocket), await rawUpstream(webAndSocket)] as const
  t.teardown(() => Promise.all(apps.map((app) => app.close())))
  const parts = await openParts(
    {
      ...usualOptions,
      stateDirectory,
      databaseUrl,
      auditRetentionMs: 90 * 86_400_000,
      log,
      now: () => clock.now,
    },
    { n: 4, r: 8, p: 1 },
  )
  t.teardown(() => parts.control.close())
  const gateway = await startGateway({
    listen: [{ host: '127.0.0.1', port: 0 }],
    authzListen: { host: '127.0.0.1', port: 0 },
    publicUrl: 'http://localhost:8090',
    baseDomain: 'ws.localhost',
    // Tests say whose address they come from.
    trustedProxies: ['127.0.0.0/8'],
    control: parts.control.edge,
    app: parts.control.app,
    flowKey: parts.control.flowKey,
    caps: { addressConnections: 10_000 },
    accessLog: { write: (line) => void said.push(line), dropped: 0 },
    log: memoryLog(),
    now: () => clock.now,
  })
  t.teardown(() => gateway.close(0))
  await parts.control.feed(gateway.sink)
  const portOf = (address: unknown): number => (address as { port: number }).port
  const port = portOf(gateway.addresses[0])
  const agent = await pretendAgent(parts.control.embeddedAgent(), clock.now)

  const call = async (token: string, method: string, path: string, body?: unknown): Promise<Told> => {
    const answer = await ask(port, {
      host: 'localhost:8090',
      method,
      path,
      headers: [
        'Content-Type: application/json',
        ...(token === '' ? [] : [`Authorization: Bearer ${token}`]),
      ],
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = answer.body
    const json = (text.startsWith('{') ? JSON.parse(text) : {}) as Told['json']
    return { status: answer.status, text, json }
  }
  const personOf = async (username: string, session: string): Promise<Person> => {
    const made = await ask(port, {
      host: 'localhost:8090',
      method: 'POST',
      path: '/api/v1/tokens',
      headers: [
        'Content-Type: application/json',
        `Cookie: postern_session=${session}`,
        'Origin: http://localhost:8090',
      ],
      body: JSON.stringify({ name: 'test', scopes: ['admin'] }),
    })
    const { token } = JSON.parse(made.body) as { token: string }
    const me = await call(token, 'GET', '/api/v1/me')
    return { username, id: String(me.json['id']), token, session }
  }
  const setupToken = new URL((await parts.control.setupUrl()) ?? '').searchParams.get('token') ?? ''
  const first = await parts.control.edge.setup({ token: setupToken, username: 'ada', password }, origin)
  const ada = await personOf('ada', first.token)

  const portsOf = (one: Visibility, other?: Visibility): object[] => [
    { port: apps[0].port, visibility: one },
    ...(other === undefined ? [] : [{ port: apps[1].port, visibility: other }]),
  ]
  const obey = async (): Promise<void> => {
    const { workspaces } = await agent.desired()
    const reach = { kind: 'address', host: '127.0.0.1' } as const
    const running = workspaces.flatMap((entry) => (entry.want === 'running' ? [entry.spec.id] : []))
    await agent.obey(running.map((id) => ({ id, reach })))
  }
  const world: LinksWorld = {
    agent: obey,
    ...parts,
    port,
    authzPort: portOf(gateway.authzAddress),
    apps,
    clock,
    said,
    ada,
    api: (who, method, path, body) => call(who.token, method, path, body),
    async member(username) {
      const made = await call(ada.token, 'POST', '/api/v1/users', { username, password })
      if (made.status !== 201) throw new Error(made.text)
      const { token } = await parts.control.edge.signIn({ username, password }, { ...origin, ip: username })
      return personOf(username, token)
    },
    async workspace(name, one, other) {
      const body = { name, image: 'img:1', ports: portsOf(one, other) }
      const made = await call(ada.token, 'POST', '/api/v1/workspaces', body)
      if (made.status !== 202) throw new Error(made.text)
      await obey()
      return made.json as unknown as WorkspaceView
    },
    async opens(id, one, other) {
      const body = { ports: portsOf(one, other) }
      const answer = await call(ada.token, 'PATCH', `/api/v1/workspaces/${id}`, body)
      if (answer.status !== 202) throw new Error(answer.text)
    },
    async link(id, asked = {}) {
      const { status, text, json } = await call(ada.token, 'POST', `/api/v1/workspaces/${id}/links`, asked)
      if (status !== 201) throw new Error(text)
      const url = String(json['url'])
      return { id: String(json['id']), url, secret: new URL(url).hash.slice(1) }
    },
    async cookieOf(who, workspaceId, label) {
      const nonce = `nonce of ${who.username} ${label} ${Math.random()}`
      const challenge = createHash('sha256').update(nonce).digest('base64url')
      const parentHash = hashOf(who.session)
      const { edge } = parts.control
      const code = await edge.issueCode({ userId: who.id, parentHash, workspaceId, label, challenge })
      return `postern_workspace=${(await edge.redeemCode({ code, nonce, label }, origin)).token}`
    },
  }
  return world
}

export const navigates = ['Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document', 'Accept: text/html']
export const hostOf = (label: string): string => `${label}.ws.localhost:8090`

/** A browser with a jar for each workspace host; `ip` is where it comes from. */
export class Visitor {
  readonly jar = new Map<string, Map<string, string>>()
  readonly world: LinksWorld
  readonly ip: string

  constructor(world: LinksWorld, ip = '198.51.100.1') {
    this.world = world
    this.ip = ip
  }

  /** The Cookie field for a host; '' for none. */
  cookie(label: string): string {
    return [...(this.jar.get(label) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** The fields that it sends to a host beside what is asked. */
  fields(label: string): string[] {
    const cookie = this.cookie(label)
    return [`X-Forwarded-For: ${this.ip}`, ...(cookie === '' ? [] : [`Cookie: ${cookie}`])]
  }

  async ask(label: string, path: string, more: readonly string[] = [], method = 'GET', body?: string) {
    const headers = [...this.fields(label), ...more]
    const asked = { host: hostOf(label), path, method, headers, ...(body === undefined ? {} : { body }) }
    const answer = await ask(this.world.port, asked)
    for (const set of answer.all('Set-Cookie')) {
      // One for a domain is another cookie, taken away in case that somebody set it.
      if (/; *domain=/i.test(set)) continue
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? []
      const jar = this.jar.get(label) ?? new Map<string, string>()
      this.jar.set(label, jar)
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    return answer
  }

  get(label: string, path = '/'): Promise<Answer> {
    return this.ask(label, path, navigates)
  }

  /** Sends a form of the host's own page. */
  post(label: string, path: string, fields: Record<string, string>): Promise<Answer> {
    const from = `Origin: http://${hostOf(label)}`
    const more = [...navigates, from, 'Content-Type: application/x-www-form-urlencoded']
    return this.ask(label, path, more, 'POST', new URLSearchParams(fields).toString())
  }

  /** Follows redirects between workspace hosts, twenty at most, as browsers do. @throws Error where one leaves them */
  async follow(label: string, answer: Answer): Promise<{ label: string; path: string; answer: Answer }> {
    let at = { label, path: '', answer }
    for (let turns = 0; at.answer.status === 303; turns++) {
      if (turns > 20) throw new Error('too many redirects')
      const to = new URL(at.answer.field('Location') ?? '', `http://${hostOf(at.label)}`)
      if (!to.host.endsWith('.ws.localhost:8090')) throw new Error(`led to ${to.href}`)
      const next = to.host.slice(0, -'.ws.localhost:8090'.length)
      at = { label: next, path: to.pathname + to.search, answer: at.answer }
      at.answer = await this.get(next, at.path)
    }
    return at
  }

  /** Uses a link as the page's button does, and goes where that leads. */
  async redeem(label: string, secret: string) {
    return this.follow(label, await this.post(label, '/.postern/link', { token: secret }))
  }
}
