/** Forward auth answers a question that comes again from what it said before; never otherwise than it would decide now. */
import { deepEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type EdgeRoute, portDefaults } from '../../control/wire/index.ts'
import { type Answer, parseAnswer, type RawClient, rawClient } from '../support/gateway-bytes.ts'
import { hashOf, routeRow, userRow } from '../support/gateway-control.ts'
import { type EdgeUnderTest, startEdge } from '../support/gateway-edge.ts'
import { signingFact, signingKey } from '../support/signing-keys.ts'

interface Question {
  readonly host: string
  readonly cookie: string
  readonly method?: string
  readonly target?: string
  readonly more?: readonly string[]
  /** At the door for an nginx that dials by itself. */
  readonly dial?: boolean
}

interface World {
  readonly edge: EdgeUnderTest
  readonly cookies: Readonly<Record<string, string>>
  readonly sessions: Readonly<Record<'alice' | 'bob' | 'bobChild', string>>
  readonly routes: { shop: EdgeRoute; site: EdgeRoute }
  wait(ms: number): void
  /** Asks twice on a connection that stays, and once on one that ends, which is never answered from before. */
  ask(question: Question): Promise<{ kept: readonly string[]; anew: string }>
}

const portOf = (port: number) => ({ ...portDefaults, port })

/** What of an answer a front acts on. */
const shownOf = ({ status, fields }: Answer): string =>
  [status, ...fields.filter((line) => !/^(?:date|connection|keep-alive|content-length):/i.test(line))].join(
    '\n',
  )

async function nextAnswer(client: RawClient, from: number): Promise<Answer> {
  await client.received(new RegExp(`^[^]{${from}}[^]*?\\r\\n\\r\\n`))
  const head = parseAnswer(client.text().slice(from))
  const length = Number(head.field('content-length') ?? 0)
  await client.received(new RegExp(`^[^]{${from + head.head.length + 4 + length}}`))
  return head
}

async function world(t: Test): Promise<World> {
  let nowMs = 1_800_000_000_000
  const edge = await startEdge(t, { now: () => nowMs })
  const { control } = edge
  control.nowMs = () => nowMs
  control.tell(signingFact(signingKey(0)))
  const grant = { subjectKind: 'user', subjectId: 'bob', role: 'editor', ports: null } as const
  const routes = {
    shop: routeRow('shop', {
      grants: [{ ...grant, expiresAtMs: nowMs + 60_000 }],
      defaultPort: 3000,
      ports: [portOf(3000)],
    }),
    site: routeRow('site', {
      defaultPort: 3000,
      ports: [portOf(3000), { ...portOf(8000), visibility: 'public' }],
      paths: [{ prefix: '/api', port: 8000 }],
    }),
  }
  for (const route of Object.values(routes)) control.route(route)
  const alice = control.session('alice')
  const bob = control.session('bob', nowMs + 90_000)
  const bobChild = control.child(bob, routes.shop.workspaceId, 'shop-3000', nowMs + 80_000)
  const cookies = {
    alice: control.child(alice, routes.shop.workspaceId, 'shop-3000'),
    aliceOnSite: control.child(alice, routes.site.workspaceId, 'site'),
    bob: bobChild,
    nobody: 'nobody',
  }
  const client = await rawClient(edge.authzPort)
  t.teardown(() => client.socket.destroy())
  const bytes = (question: Question, connection: string): string => {
    const { host, cookie, method = 'GET', target = '/', more = [], dial = false } = question
    return `GET /api/authz/auth-request${dial ? '/dial' : ''} HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\nX-Original-URL: http://${host}.ws.localhost:8090${target}\r\nX-Original-Method: ${method}\r\nCookie: theme=dark; postern_workspace=${cookie}\r\n${more.map((line) => `${line}\r\n`).join('')}\r\n`
  }
  return {
    edge,
    cookies,
    sessions: { alice, bob, bobChild },
    routes,
    wait: (ms) => void (nowMs += ms),
    async ask(question) {
      const kept: string[] = []
      for (let i = 0; i < 2; i++) {
        const from = client.text().length
        client.send(bytes(question, 'keep-alive'))
        kept.push(shownOf(await nextAnswer(client, from)))
      }
      const other = await rawClient(edge.authzPort)
      other.send(bytes(question, 'close'))
      await other.closed()
      return { kept, anew: shownOf(parseAnswer(other.text())) }
    },
  }
}

const statusOf = (shown: string): number => Number(shown.slice(0, 3))

t.test('what ends a right ends the answer, to the millisecond', async (t) => {
  const { edge, cookies, sessions, routes, wait, ask } = await world(t)
  const { control } = edge
  const bob = { host: 'shop-3000', cookie: cookies.bob! }
  const alice = { host: 'shop-3000', cookie: cookies.alice! }
  const said = async (question: Question): Promise<number> => {
    const { kept, anew } = await ask(question)
    t.same(kept, [anew, anew])
    return statusOf(anew)
  }
  t.equal(await said(bob), 200)
  t.equal(await said(alice), 200)
  wait(59_999)
  t.equal(await said(bob), 200)
  wait(1)
  t.equal(await said(bob), 403, 'his grant has ended')
  control.route({ ...routes.shop, grants: [{ ...routes.shop.grants[0]!, expiresAtMs: null }] })
  t.equal(await said(bob), 200)
  wait(19_999)
  t.equal(await said(bob), 200)
  wait(1)
  t.equal(await said(bob), 401, 'his session has ended')
  t.equal(await said(alice), 200)
  control.gone('session', hashOf(sessions.alice))
  t.equal(await said(alice), 401, 'her parent session is gone')
})

t.test('a change of the user or the key is told at once', async (t) => {
  const { edge, cookies, ask } = await world(t)
  const question = { host: 'shop-3000', cookie: cookies.alice! }
  const before = (await ask(question)).kept
  t.match(before[1], /X-Postern-Email: alice@example\.com/)
  edge.control.user(userRow('alice', { email: 'new@example.com' }))
  const after = await ask(question)
  t.match(after.kept[0], /X-Postern-Email: new@example\.com/)
  t.same(after.kept, [after.anew, after.anew])
  const assertionOf = (shown: string | undefined): string | undefined =>
    /X-Postern-Assertion: (\S+)/.exec(shown ?? '')?.[1]
  edge.control.tell(signingFact(signingKey(1)))
  const signed = await ask(question)
  t.not(assertionOf(signed.kept[0]), assertionOf(after.kept[0]))
  t.same(signed.kept, [signed.anew, signed.anew])
})

const extras: readonly (readonly string[])[] = [
  ['Sec-Fetch-Site: same-origin'],
  ['Sec-Fetch-Site: same-site'],
  ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document'],
  ['Origin: http://shop-3000.ws.localhost:8090'],
  ['Origin: http://site.ws.localhost:8090'],
  ['Authorization: Basic YTpi'],
  ['X-Postern-Token: pst_0123456789abcdef0123'],
  ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='],
  ['Accept: text/html'],
]

/** What is allowed, mostly, and then one thing of it is another. */
const usual = fc.constantFrom<Question>(
  { host: 'shop-3000', cookie: 'alice' },
  { host: 'shop-3000', cookie: 'bob' },
  { host: 'site', cookie: 'aliceOnSite' },
)
const odd = fc.constantFrom<Partial<Question>>(
  ...[{}, {}, {}, { cookie: 'nobody' }, { cookie: 'alice' }],
  ...['shop-4000', 'shop', 'site-8000', 'nothing', 'SHOP-3000', 'shop-3000'].map((host) => ({ host })),
  ...['HEAD', 'POST', 'OPTIONS'].map((method) => ({ method })),
  ...['/api/x', '/.postern/enter', '/?a=1'].map((target) => ({ target })),
  ...extras.map((more) => ({ more })),
)
const questions = fc
  .tuple(usual, odd, fc.boolean())
  .map(([question, other, dial]): Question => ({ ...question, ...other, dial }))

type Step = (world: World) => void
const changes: Readonly<Record<string, Step>> = {
  'alice is gone': ({ edge }) => edge.control.gone('user', 'alice'),
  'alice is back': ({ edge }) => edge.control.user(userRow('alice')),
  'bob signs out': ({ edge, sessions }) => edge.control.gone('session', hashOf(sessions.bob)),
  'shop stops': ({ edge, routes }) => edge.control.route({ ...routes.shop, phase: 'stopped' }),
  'shop runs': ({ edge, routes }) => edge.control.route(routes.shop),
  'shop is bob’s': ({ edge, routes }) => edge.control.route({ ...routes.shop, ownerId: 'bob' }),
  'shop is public': ({ edge, routes }) =>
    edge.control.route({ ...routes.shop, ports: [{ ...portOf(3000), visibility: 'public' }] }),
  'shop is composed': ({ edge, routes }) =>
    edge.control.route({ ...routes.shop, paths: [{ prefix: '/api', port: 4000 }] }),
  'shop is gone': ({ edge, routes }) => edge.control.gone('route', routes.shop.workspaceId),
  'a second passes': ({ wait }) => wait(1000),
  'half a minute passes': ({ wait }) => wait(30_000),
}

t.test('whatever is asked and changed in whatever order, it says what it would decide now', async (t) => {
  const steps = fc.array(
    fc.oneof({ weight: 3, arbitrary: questions }, fc.constantFrom(...Object.keys(changes))),
    { minLength: 30, maxLength: 60 },
  )
  let [asked, allowed] = [0, 0]
  await fc.assert(
    fc.asyncProperty(steps, async (run) => {
      const it = await world(t)
      for (const step of run) {
        if (typeof step === 'string') changes[step]!(it)
        else {
          const { kept, anew } = await it.ask({ ...step, cookie: it.cookies[step.cookie]! })
          asked++
          if (statusOf(anew) === 200) allowed++
          deepEqual(kept, [anew, anew])
        }
      }
      await it.edge.gateway.close(0)
    }),
    { numRuns: 25 },
  )
  t.ok(allowed > asked / 20, `${allowed} of ${asked} were allowed`)
})
