/** A workspace whose ports have every visibility, and everybody who may come to it: what the access matrix is tried on. */
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import type { StreamMessage } from '../../control/wire/index.ts'
import { password } from './control-server.ts'
import { type RawUpstream, rawUpstream } from './gateway-bytes.ts'
import { hashOf } from './gateway-control.ts'
import { webAndSocket } from './gateway-edge.ts'
import type { Client } from './product-client.ts'
import { type Deployment, startDeployment } from './proof-deployment.ts'
import { until } from './until.ts'

export const visitors = [
  'owner',
  'member of the owning group',
  'viewer',
  'viewer of one port',
  'editor',
  'manager',
  'viewer by a group',
  'viewer whose grant is over',
  'editor whose grant is over',
  'other',
  'administrator',
  'administrator with broken glass',
  'auditor',
  'disabled',
  'nobody',
  'guest by a link',
  'guest whose link is over',
  'owner’s token without connect',
  'owner’s token for one port',
  'owner’s token for another workspace',
] as const
export type Visitor = (typeof visitors)[number]

/** Port numbers of the workspace, by who they are for; `undeclared` is no port of its spec. */
export const portsOf = {
  owner: 3001,
  shared: 3002,
  members: 3003,
  link: 3004,
  public: 3005,
  undeclared: 3006,
} as const
export type Level = keyof typeof portsOf
/** The one port of `viewer of one port`; it is a shared one too. */
export const ONE_PORT = 3007

/** How a visitor proves who they are. */
export interface Papers {
  /** Header lines for a workspace host, by its label; none: nobody. */
  host(label: string): readonly string[]
  /** Of the dashboard: a session in a jar, or a bearer. */
  readonly api: Client
  /** The dashboard’s session as a Cookie line, for navigations; none where there is none. */
  readonly dashboard: readonly string[]
}

export interface People {
  readonly place: Deployment
  readonly app: RawUpstream
  readonly workspaceId: string
  readonly papers: Readonly<Record<Visitor, Papers>>
  /** The live stream as that visitor hears it; what is there has come when it resolves. */
  stream(visitor: Visitor, query?: string): Promise<Stream>
}

export interface Stream {
  /** 101, or the status of the refusal. */
  readonly status: number
  readonly heard: StreamMessage[]
  close(): void
}

const HOUR = 3_600_000

interface Made {
  readonly id: string
  readonly token: string
  readonly url: string
}

/** Builds it. The clock is two hours ahead of the grants and links that are over. */
export async function startPeople(t: Test): Promise<People> {
  const place = await startDeployment(t, { byPath: true })
  const app = await rawUpstream(webAndSocket)
  t.teardown(() => app.close())
  const { administrator, clock } = place
  const must = (who: Client, method: string, path: string, body?: unknown) =>
    who.must<Made & Record<string, unknown>>(method, path, body)
  const names = [
    'mia',
    'gus',
    'vic',
    'one',
    'edd',
    'max',
    'gwen',
    'exa',
    'exe',
    'otto',
    'bea',
    'aude',
    'dis',
  ] as const
  const clients = new Map<string, Client>()
  const ids = new Map<string, string>()
  for (const name of names) {
    const client = await place.member(name)
    clients.set(name, client)
    ids.set(name, (await must(client, 'GET', '/api/v1/me')).id)
  }
  const of = (name: string): Client => clients.get(name) ?? place.visitor()
  const mia = of('mia')
  const declared = (['owner', 'shared', 'members', 'link', 'public'] as const).map((visibility) => ({
    port: portsOf[visibility],
    visibility,
  }))
  const { id: workspaceId } = await must(mia, 'POST', '/api/v1/workspaces', {
    name: 'shop',
    image: 'any:1',
    ports: [...declared, { port: ONE_PORT, visibility: 'shared' }],
  })
  const mapped = Object.fromEntries([...Object.values(portsOf), ONE_PORT].map((port) => [port, app.port]))
  const reach = { kind: 'ports', host: '127.0.0.1', ports: mapped } as const
  await place.agent.obey([{ id: workspaceId, reach }])

  // Whoever is demoted or shut out below had a token before: what they hold must be worth no more than they are.
  const tokens = new Map<string, string>()
  for (const name of names)
    tokens.set(
      name,
      (
        await must(of(name), 'POST', '/api/v1/tokens', {
          name: 'all',
          scopes: ['connect', 'workspaces:write'],
        })
      ).token,
    )
  tokens.set(
    'ada',
    (await must(administrator, 'POST', '/api/v1/tokens', { name: 'all', scopes: ['connect', 'admin'] }))
      .token,
  )
  const weak = (await must(mia, 'POST', '/api/v1/tokens', { name: 'weak', scopes: ['workspaces:read'] }))
    .token

  const bound = async (workspace: string, more: object = {}): Promise<string> => {
    const body = { name: 'bound', scopes: ['connect', 'workspaces:read'], workspace, ...more }
    return (await must(mia, 'POST', '/api/v1/tokens', body)).token
  }
  await must(mia, 'POST', '/api/v1/workspaces', { name: 'stall', image: 'any:1' })
  const [forPort, forOther] = [await bound('shop', { ports: [portsOf.owner] }), await bound('stall')]

  const group = async (name: string, ...members: string[]): Promise<string> => {
    const { id } = await must(administrator, 'POST', '/api/v1/groups', { name })
    for (const member of members)
      await must(administrator, 'POST', `/api/v1/groups/${id}/members/${ids.get(member)}`)
    return id
  }
  const crew = await group('crew', 'mia', 'gus')
  const friends = await group('friends', 'gwen')
  await place.control.deployment.feed.write(async (w) => {
    await w.db('workspaces').where({ id: workspaceId }).update({ owner_group_id: crew })
    await w.changed('workspace', workspaceId)
  })
  const grant = (kind: 'user' | 'group', id: string, role: string, more: object = {}) =>
    must(mia, 'POST', '/api/v1/grants', {
      subject: { kind, id },
      object: { kind: 'workspace', id: workspaceId },
      role,
      ...more,
    })
  const soon = new Date(Date.now() + HOUR).toISOString()
  await grant('user', ids.get('exa') ?? '', 'viewer', { expiresAt: soon })
  await grant('user', ids.get('exe') ?? '', 'editor', { expiresAt: soon })
  const over = await must(mia, 'POST', `/api/v1/workspaces/${workspaceId}/links`, { expiresAt: soon })
  const { edge } = place.control.control
  const asNobody = { ip: '127.0.0.1', userAgent: '', requestId: 'r' }
  /** Sessions of a guest by host: of each host that control gives them one for. */
  const guestOf = async (url: string): Promise<ReadonlyMap<string, string>> => {
    const secret = url.slice(url.indexOf('#') + 1)
    const first = await edge.redeemLink({ secret, workspaceId, label: 'shop-3004' }, asNobody)
    const sessions = new Map([['shop-3004', first.token]])
    for (const port of [...Object.values(portsOf), ONE_PORT])
      await edge
        .joinGuest({ sessionHash: hashOf(first.token), label: `shop-${port}` }, asNobody)
        .then(({ token }) => sessions.set(`shop-${port}`, token))
    return sessions
  }
  const late = await guestOf(over.url)
  clock.ahead += 2 * HOUR

  await grant('user', ids.get('vic') ?? '', 'viewer')
  await grant('user', ids.get('one') ?? '', 'viewer', { ports: [ONE_PORT] })
  await grant('user', ids.get('edd') ?? '', 'editor')
  await grant('user', ids.get('max') ?? '', 'manager')
  await grant('user', ids.get('dis') ?? '', 'editor')
  await grant('group', friends, 'viewer')
  const guest = await guestOf((await must(mia, 'POST', `/api/v1/workspaces/${workspaceId}/links`, {})).url)
  await must(administrator, 'PATCH', `/api/v1/users/${ids.get('bea')}`, { role: 'administrator' })
  await must(administrator, 'PATCH', `/api/v1/users/${ids.get('aude')}`, { role: 'auditor' })
  for (const name of ['bea', 'aude'])
    await must(of(name), 'POST', '/api/v1/sessions', { username: name, password })
  await must(of('bea'), 'POST', `/api/v1/workspaces/${workspaceId}/break-glass`, {
    reason: 'the matrix is tried',
  })
  await must(administrator, 'PATCH', `/api/v1/users/${ids.get('dis')}`, { disabled: true })

  const person = (name: string, client: Client): Papers => ({
    host: () => [`X-Postern-Token: ${tokens.get(name)}`],
    api: client,
    dashboard: [
      `Cookie: ${[...client.cookies(place.publicUrl)].map(([key, value]) => `${key}=${value}`).join('; ')}`,
    ],
  })
  const origin = (label: string): string => `Origin: ${place.origin(label)}`
  const asGuest = (sessions: ReadonlyMap<string, string>): Papers => ({
    // Where they have none, the one that they came with: it must open nothing there.
    host: (label) => [
      `Cookie: postern_workspace=${sessions.get(label) ?? sessions.get('shop-3004')}`,
      origin(label),
    ],
    api: place.visitor(),
    dashboard: [`Cookie: postern_session=${sessions.get('shop-3004')}`],
  })
  const byToken = (token: string): Papers => ({
    host: () => [`X-Postern-Token: ${token}`],
    api: place.visitor(token),
    dashboard: [],
  })
  const papers: People['papers'] = {
    owner: person('mia', mia),
    'member of the owning group': person('gus', of('gus')),
    viewer: person('vic', of('vic')),
    'viewer of one port': person('one', of('one')),
    editor: person('edd', of('edd')),
    manager: person('max', of('max')),
    'viewer by a group': person('gwen', of('gwen')),
    'viewer whose grant is over': person('exa', of('exa')),
    'editor whose grant is over': person('exe', of('exe')),
    other: person('otto', of('otto')),
    administrator: person('ada', administrator),
    'administrator with broken glass': person('bea', of('bea')),
    auditor: person('aude', of('aude')),
    disabled: person('dis', of('dis')),
    nobody: { host: () => [], api: place.visitor(), dashboard: [] },
    'guest by a link': asGuest(guest),
    'guest whose link is over': asGuest(late),
    'owner’s token without connect': byToken(weak),
    'owner’s token for one port': byToken(forPort),
    'owner’s token for another workspace': byToken(forOther),
  }
  return {
    place,
    app,
    workspaceId,
    papers,
    stream: (visitor, query) => listen(t, place, papers[visitor], query),
  }
}

async function listen(t: Test, place: Deployment, papers: Papers, query = ''): Promise<Stream> {
  const { api, dashboard } = papers
  const [, cookie] = /^Cookie: (.*)$/.exec(dashboard[0] ?? '') ?? []
  const ws = new WebSocket(`ws://127.0.0.1:${place.port}/api/v1/events${query}`, {
    origin: place.publicUrl,
    headers: {
      Host: new URL(place.publicUrl).host,
      ...(cookie === undefined ? {} : { Cookie: cookie }),
      ...(api.token === undefined ? {} : { Authorization: `Bearer ${api.token}` }),
    },
  })
  const heard: StreamMessage[] = []
  let status = 0
  ws.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString()) as StreamMessage))
  ws.on('unexpected-response', (_req, res) => {
    status = res.statusCode ?? 0
    ws.terminate()
  })
  ws.on('error', () => undefined)
  ws.on('open', () => (status = 101))
  t.teardown(() => ws.terminate())
  await until(() => status !== 0, { timeoutMs: 30_000, what: 'the live stream to open or to be refused' })
  if (status === 101)
    await until(() => heard.some(({ type }) => type === 'live'), {
      timeoutMs: 30_000,
      what: 'all that is there',
    })
  return { status, heard, close: () => ws.terminate() }
}
