/** A control over real HTTP: cookies and tokens are found by the edge's facts, as a gateway does, but without one. */
import { generateKeyPairSync, sign } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from '@postern/plugin'
import { openParts } from '../../control/open.ts'
import type { Parts } from '../../control/open.ts'
import type { ControlOptions } from '../../control/seams.ts'
import type { EdgeFact, EdgeSink, Identity, Register } from '../../control/wire/index.ts'
import { makeClient, type Client } from './control-client.ts'
import { hashOf } from './gateway-control.ts'

/** Collects everything that was logged, for the search for secrets. */
export function listeningLog(): Logger & { readonly lines: string[] } {
  const lines: string[] = []
  const write =
    (level: string) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      const err = fields?.['err']
      const shown = err instanceof Error ? { ...fields, err: err.stack } : fields
      lines.push(`${level} ${message} ${JSON.stringify(shown ?? {})}`)
    }
  const log = {
    lines,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (): Logger => log,
  }
  return log
}

/** The facts as a gateway holds them, with all that was said. */
export function factTable(): EdgeSink & {
  readonly rows: Map<string, EdgeFact>
  readonly said: { revision: number; facts: readonly EdgeFact[] }[]
} {
  const rows = new Map<string, EdgeFact>()
  const said: { revision: number; facts: readonly EdgeFact[] }[] = []
  const put = (fact: EdgeFact): void => {
    if (fact.kind === 'gone') rows.delete(`${fact.of} ${fact.key}`)
    else rows.set('key' in fact ? `${fact.kind} ${fact.key}` : fact.kind, fact)
  }
  return {
    rows,
    said,
    reset(revision, facts) {
      rows.clear()
      said.push({ revision, facts })
      facts.forEach(put)
    },
    apply(revision, facts) {
      said.push({ revision, facts })
      facts.forEach(put)
    },
  }
}

/** Who a request comes from, by the facts alone. */
export function identify(
  rows: ReadonlyMap<string, EdgeFact>,
  headers: IncomingMessage['headers'],
  now: number,
): Identity {
  const user = (id: string): Extract<EdgeFact, { kind: 'user' }>['row'] | null => {
    const fact = rows.get(`user ${id}`)
    return fact?.kind === 'user' ? fact.row : null
  }
  const bearer = /^Bearer (pst_.+)$/.exec(headers.authorization ?? '')?.[1]
  const token = bearer === undefined ? undefined : rows.get(`token ${hashOf(bearer)}`)
  if (token?.kind === 'token' && (token.row.expiresAtMs ?? Infinity) > now) {
    const found = user(token.row.userId)
    const { id: tokenId, scopes, bounds } = token.row
    if (found !== null) return { kind: 'token', user: found, tokenId, scopes, bounds }
  }
  const cookie = /(?:^|; )postern_session=([^;]+)/.exec(headers.cookie ?? '')?.[1]
  const session = cookie === undefined ? undefined : rows.get(`session ${hashOf(cookie)}`)
  if (session?.kind === 'session' && session.row.workspace === null && session.row.expiresAtMs > now) {
    const found = user(session.row.userId)
    if (found !== null) return { kind: 'session', user: found, sessionHash: session.row.hash }
  }
  return { kind: 'anonymous' }
}

export type { Answer, Client, Shown } from './control-client.ts'

export interface ControlServer extends Parts {
  readonly url: string
  readonly port: number
  readonly log: ReturnType<typeof listeningLog>
  readonly facts: ReturnType<typeof factTable>
  /** Every answer's text, for the search for secrets. */
  readonly answers: string[]
  /** `METHOD path` of each request whose head has come. */
  readonly taken: string[]
  readonly clock: { now: number }
  client(bearer?: string): Client
  /** The first administrator, signed in. */
  setUp(username?: string): Promise<Client>
  /** A member, made by the administrator and signed in. */
  member(administrator: Client, username: string): Promise<Client>
  close(): Promise<void>
}

export const password = 'correct horse battery'

export const roomy = {
  maxRunning: 1000,
  maxRunningPerUser: 1000,
  maxWorkspacesPerUser: 1000,
  maxCpu: 4,
  maxMemoryBytes: 8 * 1024 ** 3,
  maxDiskBytes: 100 * 1024 ** 3,
  maxPids: 4096,
  trashMs: 7 * 86_400_000,
}

/** A control by itself, on SQLite; where it keeps its state, what it logs and what time it is, each test says. */
export const usualOptions = {
  databaseUrl: null,
  publicUrl: 'http://localhost:8090',
  baseDomain: 'ws.localhost',
  machineId: 'machine-one',
  templateDirectories: [],
  limits: roomy,
  auditRetentionMs: 400 * 86_400_000,
  hookTargets: 'public',
  webRoot: null,
  version: '0.0.0-test',
} as const satisfies Partial<ControlOptions>

/** Starts a control on a free port. The clock stands still unless the test moves it. */
export async function controlServer(
  options: Partial<ControlOptions> & { stateDirectory: string },
): Promise<ControlServer> {
  const clock = { now: Date.now() }
  const log = listeningLog()
  const parts = await openParts(
    {
      ...usualOptions,
      log,
      now: () => clock.now,
      ...options,
    },
    // What strong hashes cost is not what these tests are about, and there are hundreds of them.
    { n: 4, r: 8, p: 1 },
  )
  const facts = factTable()
  await parts.control.feed(facts)
  const answers: string[] = []
  const taken: string[] = []
  let counter = 0
  const originOf = (req: IncomingMessage) => ({
    ip: String(req.headers['x-test-ip'] ?? '127.0.0.1'),
    userAgent: String(req.headers['user-agent'] ?? ''),
    requestId: `r${++counter}`,
    device: /(?:^|; )postern_device=([^;]+)/.exec(req.headers.cookie ?? '')?.[1],
  })
  const server: Server = createServer((req, res) => {
    taken.push(`${req.method} ${req.url}`)
    parts.control.app.request(req, res, identify(facts.rows, req.headers, clock.now), originOf(req))
  })
  server.on('upgrade', (req: IncomingMessage, socket, head: Buffer) =>
    parts.control.app.upgrade(req, socket, head, identify(facts.rows, req.headers, clock.now), originOf(req)),
  )
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  const client = (bearer?: string): Client => makeClient(port, answers, bearer)
  const self: ControlServer = {
    ...parts,
    url: `http://127.0.0.1:${port}`,
    port,
    log,
    facts,
    answers,
    taken,
    clock,
    client,
    async setUp(username = 'ada') {
      const token = new URL((await parts.control.setupUrl()) ?? '').searchParams.get('token')
      const first = client()
      const answer = await first.call('POST', '/api/v1/setup', { token, username, password })
      if (answer.status !== 201) throw new Error(answer.text)
      return first
    },
    async member(administrator, username) {
      const made = await administrator.call('POST', '/api/v1/users', { username, password })
      if (made.status !== 201) throw new Error(made.text)
      const one = client()
      const answer = await one.call(
        'POST',
        '/api/v1/sessions',
        { username, password },
        { 'x-test-ip': username },
      )
      if (answer.status !== 201) throw new Error(answer.text)
      return one
    },
    async close() {
      await parts.control.close()
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
  return self
}

/** An agent's key, and registrations that it signs. */
export function agentKey(machineId = 'machine-one') {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const spki = publicKey.export({ format: 'der', type: 'spki' }).toString('base64url')
  return {
    registration(now: number, over: Partial<Register> = {}): Register {
      const machine = over.machineId ?? machineId
      const text = `postern-register\n${machine}\n${spki}\n${now}`
      return {
        name: 'here',
        publicKey: spki,
        machineId: machine,
        issuedAtMs: now,
        proof: sign(null, Buffer.from(text), privateKey).toString('base64url'),
        runtime: 'fake',
        capabilities: {
          images: true,
          isolation: true,
          limits: { cpu: true, memory: true, pids: true, tmp: true },
        },
        workspaceSubnets: ['10.99.0.0/16'],
        version: '0',
        ...over,
      }
    },
  }
}
