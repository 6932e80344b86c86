// Attacks on tokens and on what proves machines that other products had, each with its story; none may work here.
import t from 'tap'
import { scopes } from '../../../control/wire/index.ts'
import { agentKey } from '../../support/control-server.ts'
import { always, OK, rawUpstream } from '../../support/gateway-bytes.ts'
import { startDeployment } from '../../support/proof-deployment.ts'
import { until } from '../../support/until.ts'

interface Made {
  readonly id: string
  readonly token: string
}

// A link template of an app had a place for the session token: whoever wrote the template was sent each visitor's.
// Here: no address, no template and no program is ever given a token or a session; a hand-off's code is good once.
t.test('Coder CVE-2026-55431, GHSA-v54h-cp2w-9x4g: no address carries a token or a session', async (t) => {
  const app = await rawUpstream(always(OK))
  t.teardown(() => app.close())
  const place = await startDeployment(t)
  const mia = await place.member('mia')
  const { token } = await mia.must<Made & Record<string, unknown>>('POST', '/api/v1/tokens', { name: 'mine' })
  const made = await mia.must('POST', '/api/v1/workspaces', {
    name: 'shop',
    image: 'any:1',
    ports: [{ port: app.port }],
    command: ['run', '$SESSION_TOKEN', '{{token}}', '${session}'],
    env: [{ name: 'URL', value: 'https://evil.example/?t=$SESSION_TOKEN&u={{ .SessionToken }}' }],
  })
  await place.settle()
  const landed = await mia.browse(`${place.origin('shop')}/deep?x=$SESSION_TOKEN&y=%7B%7Btoken%7D%7D`)
  t.equal(landed.status, 200)
  const secrets = [
    token,
    mia.cookies(place.publicUrl).get('postern_session') ?? 'none',
    mia.cookies(place.origin('shop')).get('postern_workspace') ?? 'none',
  ]
  const seen = [
    app.bytes(),
    JSON.stringify(await place.agent.desired()),
    ...landed.hops,
    ...(await Promise.all(
      [
        '/api/v1/workspaces',
        `/api/v1/workspaces/${String(made['id'])}`,
        '/api/v1/me',
        '/api/v1/tokens',
        '/api/v1/sessions',
        '/api/v1/templates',
      ].map(async (path) => (await mia.api('GET', path)).text),
    )),
    ...place.control.log.lines,
    ...place.log.lines,
  ].join('\n')
  t.match(seen, /\$SESSION_TOKEN/, 'what was written stays what it was')
  for (const secret of secrets) {
    t.ok(secret.length > 20)
    t.notOk(seen.includes(secret), 'and none of hers is in it')
  }
  const callback = landed.hops.find((hop) => hop.includes('/.postern/callback?code=')) ?? ''
  t.equal((await mia.ask(callback)).status === 200, false)
  t.equal(
    (await place.visitor().ask(callback)).status,
    403,
    'the code of the address is spent, and was this browser’s',
  )
})

// The certificate of an agent's attestation was checked, its signature wasn't: anybody could be any agent.
t.test('Coder CVE-2026-46354: a proof that was tampered with proves nothing', async (t) => {
  const place = await startDeployment(t)
  const join = async () =>
    (
      await place.administrator.must<Made & Record<string, unknown>>('POST', '/api/v1/hosts/tokens', {
        name: 'box',
      })
    ).token
  const register = async (body: unknown, bearer: string) =>
    place.visitor(bearer).api('POST', '/api/agent/v1/register', body)
  const [own, other] = [agentKey('machine-nine'), agentKey('machine-nine')]
  const good = own.registration(Date.now())
  const flipped = `${good.proof.slice(0, 10)}${good.proof[10] === 'A' ? 'B' : 'A'}${good.proof.slice(11)}`
  const forged: readonly [string, Record<string, unknown>][] = [
    ['a changed signature', { ...good, proof: flipped }],
    ['no signature', { ...good, proof: '' }],
    ['another key’s signature', { ...good, proof: other.registration(good.issuedAtMs).proof }],
    [
      'another key with this signature',
      { ...good, publicKey: other.registration(good.issuedAtMs).publicKey },
    ],
    ['another machine', { ...good, machineId: 'machine-one' }],
    ['another time', { ...good, issuedAtMs: good.issuedAtMs + 1 }],
    ['a signature of last week', own.registration(Date.now() - 7 * 86_400_000) as never],
  ]
  const token = await join()
  for (const [what, body] of forged) {
    const { status } = await register(body, token)
    t.ok(status === 403 || status === 422, `${what}: ${status}`)
  }
  const right = await register(own.registration(Date.now()), token)
  t.equal(right.status, 200, 'and the token of the true one was not spent by them')
  const { credential = '' } = right.json<{ credential?: string }>()
  for (const changed of [
    `${credential.slice(0, -1)}${credential.endsWith('A') ? 'B' : 'A'}`,
    credential.slice(0, -1),
    `${credential}A`,
    '',
  ])
    t.equal((await register(own.registration(Date.now()), changed)).status, 401)
  t.equal(
    (await register(other.registration(Date.now()), credential)).status,
    403,
    'a credential is its key’s only',
  )
})

// Tokens of a user who had been deleted opened the API as before.
t.test('Coder advisory 0001: the tokens of a deleted user are dead within a second', async (t) => {
  const app = await rawUpstream(always(OK))
  t.teardown(() => app.close())
  const place = await startDeployment(t)
  const owner = await place.member('owner')
  await place.workspace(owner, 'shop', [{ port: app.port, visibility: 'members' }])
  for (const [how, end] of [
    ['deleted', (id: string) => place.administrator.must('DELETE', `/api/v1/users/${id}`)],
    [
      'disabled',
      (id: string) => place.administrator.must('PATCH', `/api/v1/users/${id}`, { disabled: true }),
    ],
  ] as const) {
    const gone = await place.member(`gone-${how}`)
    const { id } = await gone.must<Made & Record<string, unknown>>('GET', '/api/v1/me')
    const { token } = await gone.must<Made & Record<string, unknown>>('POST', '/api/v1/tokens', {
      name: 'left',
      scopes: ['admin'],
    })
    const bearer = place.visitor(token)
    const asked = async () => [
      (await bearer.api('GET', '/api/v1/me')).status,
      (await bearer.ask(`${place.origin('shop')}/`, { headers: { 'X-Postern-Token': token } })).status,
      (await gone.api('GET', '/api/v1/me')).status,
    ]
    t.same(await asked(), [200, 200, 200])
    const socket = await bearer.socket('/api/v1/events', { headers: { Authorization: `Bearer ${token}` } })
    let isOver = false
    socket.on('close', () => (isOver = true))
    await end(id)
    t.same(await asked(), [401, 401, 401], `${how}: with the very next request`)
    await until(() => isOver, { what: 'the end of its live stream' })
  }
})

// A token of a few scopes made one of more.
t.test('JupyterHub CVE-2024-41942: a token makes no broader one', async (t) => {
  const place = await startDeployment(t)
  const { administrator } = place
  for (const some of [
    ...scopes.filter((scope) => scope !== 'admin').map((scope) => [scope]),
    scopes.filter((scope) => scope !== 'admin'),
  ]) {
    const { token } = await administrator.must<Made & Record<string, unknown>>('POST', '/api/v1/tokens', {
      name: some.join(' '),
      scopes: some,
    })
    const bearer = place.visitor(token)
    for (const wanted of [scopes, ['admin'], ...scopes.map((scope) => [scope, ...some]), undefined]) {
      const answer = await bearer.api('POST', '/api/v1/tokens', {
        name: 'more',
        ...(wanted === undefined ? {} : { scopes: wanted }),
      })
      const isNarrower = (wanted ?? []).every((scope) => some.includes(scope as never))
      if (!isNarrower) t.equal(answer.status, 403, `${some.join(' ')} → ${String(wanted)}`)
      if (answer.status !== 201) continue
      const { id } = answer.json<Made>()
      const { items } = await administrator.must<{ items: { id: string; scopes: string[] }[] }>(
        'GET',
        '/api/v1/tokens',
      )
      const made = items.find((item) => item.id === id)
      t.ok(
        made?.scopes.every((scope) => some.includes(scope as never)),
        String(made?.scopes),
      )
      await administrator.must('DELETE', `/api/v1/tokens/${id}`)
    }
    for (const [method, path, body] of [
      ['GET', '/api/v1/tokens', undefined],
      ['GET', '/api/v1/sessions', undefined],
      ['POST', '/api/v1/me/password', { currentPassword: 'x', newPassword: 'y'.repeat(12) }],
      ['GET', '/api/v1/users', undefined],
      ['POST', '/api/v1/users', { username: 'eve', password: 'y'.repeat(12), role: 'administrator' }],
      ['POST', '/api/v1/hosts/tokens', { name: 'x' }],
      ['POST', '/api/v1/gateways/tokens', { name: 'x' }],
    ] as const)
      t.equal((await bearer.api(method, path, body)).status, 403, `${method} ${path} with ${some.join(' ')}`)
  }
})
