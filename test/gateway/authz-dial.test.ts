/** The door for an nginx that dials workspaces itself: short answers, and no yes to what it can't dial. */
import t, { type Test } from 'tap'
import { mayRideOnCookie } from '../../gateway/decide/decide.ts'
import { startEdge, type TestEdge } from '../support/fronts-edge.ts'
import { frontFacts, secrets } from '../support/fronts-facts.ts'
import { signingFact, signingKey } from '../support/signing-keys.ts'
import { ask, type Answer } from '../support/fronts-visitor.ts'

type Headers = Readonly<Record<string, string>>

async function open(t: Test): Promise<TestEdge> {
  const facts = [...frontFacts(), signingFact(signingKey(0))]
  const edge = await startEdge(facts, { publicUrl: 'http://localhost:8090' })
  t.teardown(() => edge.gateway.close(0))
  return edge
}

const question =
  (edge: TestEdge, path: string) =>
  (label: string, visitor: Headers = {}): Promise<Answer> =>
    ask({
      port: edge.authz,
      path,
      host: '127.0.0.1:8091',
      headers: {
        ...visitor,
        'X-Original-URL': `http://${label}.ws.localhost:8090/`,
        'X-Original-Method': 'GET',
      },
    })

const cookie = (secret: string): Headers => ({ Cookie: `postern_workspace=${secret}` })
const names = ({ headers }: Answer): string[] =>
  Object.keys(headers).filter((name) => name !== 'connection' && name !== 'date')
const unkept = ['cache-control', 'vary', 'content-length']

t.test('a yes has short names, and nothing that is empty', async (t) => {
  const dial = question(await open(t), '/api/authz/auth-request/dial')
  const owner = await dial('web-3000', {
    ...cookie(secrets.adaOnWeb),
    'X-Postern-User': 'root',
    User: 'root',
  })
  t.match(owner, {
    status: 200,
    body: '',
    headers: {
      user: 'ada',
      email: 'ada@example.test',
      groups: 'crew,ops',
      assertion: /^[\w-]+\.[\w-]+\.[\w-]+$/,
      upstream: '127.0.0.1:3000',
      'cache-control': 'no-store',
      vary: '*',
    },
  })
  t.same(names(owner), [...unkept, 'user', 'email', 'groups', 'assertion', 'upstream'])
  const own = { Cookie: `theme=dark; postern_workspace=${secrets.adaOnWeb}`, Authorization: 'Basic YTpi' }
  t.match(await dial('web-3000', own), {
    headers: { cookie: 'theme=dark', authorization: 'Basic YTpi', 'x-postern-token': undefined },
  })
  t.same(names(await dial('web-4000')), [...unkept, 'upstream'], 'nobody known, on a public port')
  const token = await dial('web-3000', { 'X-Postern-Token': secrets.adaToken })
  t.same([token.status, token.headers['user'], token.headers['token']], [200, 'ada', undefined])
})

t.test('what nginx can’t dial is no yes', async (t) => {
  const edge = await open(t)
  const dial = question(edge, '/api/authz/auth-request/dial')
  const mapped = await dial('mapped-3000', cookie(secrets.adaOnMapped))
  t.equal(mapped.status, 403)
  t.match(JSON.parse(mapped.body), { code: 'unavailable', detail: /main listener/ })
  t.equal(mapped.headers['upstream'], undefined)
  const socket = { ...cookie(secrets.adaOnWeb), 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'x' }
  const origin = { Origin: 'http://web-3000.ws.localhost:8090' }
  t.equal((await dial('web-3000', { ...socket, ...origin })).status, 403, 'a WebSocket')
  t.equal((await dial('web-3000')).status, 401)
  t.equal((await dial('web-3000', cookie(secrets.bobOnWeb))).status, 403)
  const asked = question(edge, '/api/authz/auth-request')
  t.equal(
    (await asked('mapped-3000', cookie(secrets.adaOnMapped))).status,
    200,
    'by the other door it is one',
  )
})

t.test('how a request is made matters only where another site may have made it', async (t) => {
  const methods = ['GET', 'HEAD', 'OPTIONS', 'POST']
  const origins = [null, 'null', 'http://own', 'http://other']
  const ways = [null, 'navigate', 'cors', 'no-cors', 'websocket']
  const kinds = [null, 'document', 'iframe', 'empty']
  const answers = (fetchSite: string | null): boolean[] =>
    methods.flatMap((method) =>
      origins.map((origin) => {
        const of = ways.flatMap((fetchMode) =>
          kinds.map((fetchDest) =>
            mayRideOnCookie(
              { origin, fetchSite, fetchMode, fetchDest },
              { method, upgrade: false },
              'http://own',
            ),
          ),
        )
        return of.every((one) => one === of[0])
      }),
    )
  for (const site of [null, 'none', 'same-origin']) t.notOk(answers(site).includes(false), String(site))
  t.ok(answers('cross-site').includes(false), 'and there it does')
})
