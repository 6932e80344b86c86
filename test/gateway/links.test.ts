/**
 * Links, on a real control behind a real gateway: who opens what by one, that a use is counted once, that one who is out
 * is out at once, and that a guest is nobody anywhere else.
 */
import t, { type Test } from 'tap'
import type { LinkView } from '../../control/wire/index.ts'
import { type Answer, rawClient, webSocketBytes } from '../support/gateway-bytes.ts'
import { startPostgres } from '../support/control-postgres.ts'
import { hashOf } from '../support/gateway-control.ts'
import { exchangeCredential, joinControl, remoteControl } from '../../gateway/replica/remote-control.ts'
import {
  ask,
  exchange,
  hostOf,
  type LinksWorld,
  linksWorld,
  navigates,
  origin,
  Visitor,
} from '../support/links-world.ts'
import { until } from '../support/until.ts'

t.setTimeout(240_000)
const slow = { timeoutMs: 60_000 }

/** The three doors, for one visitor's request to a host. */
async function throughDoors(world: LinksWorld, label: string, fields: readonly string[]): Promise<number[]> {
  const host = hostOf(label)
  const http = await ask(world.port, { host, headers: fields })
  const socket = await rawClient(world.port)
  socket.send(webSocketBytes({ host, headers: [...fields, `Origin: http://${host}`] }))
  await socket.received(/\r\n\r\n/, 60_000)
  socket.socket.destroy()
  const upgrade = Number(/^HTTP\/1.1 (\d+)/.exec(socket.text())?.[1])
  const authz = await exchange(
    world.authzPort,
    `GET /api/authz/forward-auth HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ${host}\r\nX-Forwarded-Uri: /\r\n${fields.map((line) => `${line}\r\n`).join('')}Connection: close\r\n\r\n`,
  )
  return [http.status, upgrade === 101 ? 200 : upgrade, authz.status]
}

/** A WebSocket that stays open. */
async function openSocket(world: LinksWorld, label: string, fields: readonly string[]) {
  const client = await rawClient(world.port)
  const host = hostOf(label)
  client.send(webSocketBytes({ host, headers: [...fields, `Origin: http://${host}`] }))
  await client.received(/^HTTP\/1.1 101[^]*\r\n\r\n/, 60_000)
  return client
}

const seenBy = (app: { requests: readonly { fields: readonly string[] }[] }, name: string): string[] =>
  (app.requests.at(-1)?.fields ?? []).filter((field) => field.toLowerCase().startsWith(`${name}:`))

t.test('a link is made, told once, used, listed and revoked', async (t) => {
  const world = await linksWorld(t)
  const shop = await world.workspace('shop', 'link', 'link')
  const { id, url, secret } = await world.link(shop.id, { name: 'for the demo', maxUses: 3 })
  t.match(url, /^http:\/\/shop\.ws\.localhost:8090\/\.postern\/link#psl_[\w-]{43}$/)

  const visitor = new Visitor(world)
  t.equal((await visitor.get('shop')).status, 303, 'before, they are sent to sign in')
  visitor.jar.clear()
  const page = await visitor.get('shop', '/.postern/link')
  t.equal(page.status, 200)
  t.notMatch(page.body, secret, 'the page knows no secret')
  t.match(page.field('Content-Security-Policy'), /script-src 'sha256-/)
  const absent = await visitor.get('nothing', '/.postern/link')
  const same = (answer: Answer): string => answer.body.replaceAll(/nothing|shop|<code>[^<]*/g, '')
  t.equal(same(absent), same(page), 'and is the same where there is no workspace')

  const landed = await visitor.redeem('shop', secret)
  t.same([landed.label, landed.path, landed.answer.status], ['shop', '/', 200])
  t.same(
    [...visitor.jar.keys()].sort(),
    ['shop', `shop-${world.apps[1].port}`],
    'and the other declared port knows them too',
  )
  t.equal((await visitor.get(`shop-${world.apps[1].port}`)).status, 200)
  t.same(seenBy(world.apps[1], 'x-postern-user'), ['X-Postern-User: '], 'the app is told of nobody')
  t.same(seenBy(world.apps[1], 'cookie'), [], 'nor of the cookie')

  const again = await visitor.redeem('shop', secret)
  t.equal(again.answer.status, 200)
  const { json } = await world.api(world.ada, 'GET', `/api/v1/workspaces/${shop.id}/links`)
  const [listed] = json.items as unknown as LinkView[]
  t.match(listed, { id, name: 'for the demo', port: null, maxUses: 3, createdBy: { username: 'ada' } })
  t.equal(listed?.uses, 1, 'who is inside already uses nothing up')
  t.notMatch(JSON.stringify(json), secret.slice(4))
  t.notMatch(JSON.stringify(json), hashOf(secret))

  const sockets = [
    await openSocket(world, 'shop', visitor.fields('shop')),
    await openSocket(world, `shop-${world.apps[1].port}`, visitor.fields(`shop-${world.apps[1].port}`)),
  ]
  const bob = await world.member('bob')
  t.equal((await world.api(bob, 'DELETE', `/api/v1/workspaces/${shop.id}/links/${id}`)).status, 404)
  const revokedAt = Date.now()
  t.equal((await world.api(world.ada, 'DELETE', `/api/v1/workspaces/${shop.id}/links/${id}`)).status, 204)
  for (const socket of sockets) await socket.closed(60_000)
  t.comment(`open WebSockets were closed after ${Date.now() - revokedAt} ms`)
  t.equal((await visitor.get('shop')).status, 303, 'and new requests are sent to sign in')
  t.equal((await visitor.post('shop', '/.postern/link', { token: secret })).status, 404)
  t.notMatch(world.said.join('\n'), secret.slice(4), 'the secret is in no log')
})

t.test(
  'who gets a workspace gets no secret that others know: links and passwords end with its owner',
  async (t) => {
    const check = async (t: Test, databaseUrl: string | null): Promise<void> => {
      const world = await linksWorld(t, databaseUrl)
      const [bob, eve, mia] = [
        await world.member('bob'),
        await world.member('eve'),
        await world.member('mia'),
      ]
      const shop = await world.workspace('shop', 'link', 'public')
      const path = `/api/v1/workspaces/${shop.id}`
      const open = `shop-${world.apps[1].port}`
      const { secret } = await world.link(shop.id)
      await world.link(shop.id, { maxUses: 3 })
      const password = { password: 'open sesame', port: world.apps[1].port }
      t.equal((await world.api(world.ada, 'PUT', `${path}/password`, password)).status, 204)
      const grant = { subject: { kind: 'user', id: mia.id }, object: { kind: 'workspace', id: shop.id } }
      t.equal(
        (await world.api(world.ada, 'POST', '/api/v1/grants', { ...grant, role: 'manager' })).status,
        201,
      )

      const [byLink, byWord] = [new Visitor(world), new Visitor(world, '198.51.100.2')]
      await byLink.redeem('shop', secret)
      const give = (who: Visitor) =>
        who.post(open, '/.postern/password', { password: password.password, to: '/' })
      t.equal((await give(byWord)).status, 303)
      const bobs = [`Cookie: ${await world.cookieOf(bob, shop.id, open)}`]
      const known = new Visitor(world, '198.51.100.3')
      known.jar.set(open, new Map([['postern_workspace', bobs[0]?.split('=')[1] ?? '']]))
      t.equal((await give(known)).status, 303, 'somebody with an account gives it, too')
      const managers = [`Cookie: ${await world.cookieOf(mia, shop.id, open)}`]
      const sockets = [
        await openSocket(world, 'shop', byLink.fields('shop')),
        await openSocket(world, open, byWord.fields(open)),
        await openSocket(world, open, bobs),
      ]
      const staying = await openSocket(world, open, managers)

      const transferredAt = Date.now()
      const gone = Promise.all(sockets.map(async (socket) => socket.closed(60_000)))
      const told = await world.api(world.ada, 'POST', `${path}/transfer`, { to: 'eve' })
      await gone
      const tookMs = Date.now() - transferredAt
      t.comment(`live sockets were closed ${tookMs} ms after it was asked for`)
      t.match(told, {
        status: 202,
        json: { ended: { links: 2, passwords: 1 }, grants: [{ subject: { name: 'mia' }, role: 'manager' }] },
      })
      t.equal(staying.socket.destroyed, false, 'who was granted something keeps what they have open')
      staying.socket.destroy()
      t.equal((await byLink.get('shop')).status, 303)
      t.equal((await byLink.post('shop', '/.postern/link', { token: secret })).status, 404)
      t.equal((await ask(world.port, { host: hostOf(open), headers: bobs })).status, 401)
      t.equal((await give(known)).status, 403, 'the word that they know lets nobody in')
      t.equal(
        (await ask(world.port, { host: hostOf(open) })).status,
        401,
        'nor is a public port open without',
      )
      t.equal((await ask(world.port, { host: hostOf(open), headers: managers })).status, 200)
      t.match((await world.api(eve, 'GET', `${path}/links`)).json, { items: [] })
      const listed = await world.api(eve, 'GET', `${path}/password`)
      t.match(listed.json, { items: [{ port: world.apps[1].port, lapsed: true }] })
      const events = await world.api(eve, 'GET', `${path}/events`)
      t.match(events.json.items[0], { message: 'ada gave it to eve, and ended 2 links and 1 password.' })
      const audit = await world.api(world.ada, 'GET', '/api/v1/audit?action=workspace.transfer')
      t.match(audit.json.items[0], { details: { to: 'eve', links: 2, passwords: 1, grants: 1 } })

      const other = { ...password, password: 'quite another word' }
      t.equal((await world.api(eve, 'PUT', `${path}/password`, other)).status, 204)
      const anew = await known.post(open, '/.postern/password', { password: other.password, to: '/' })
      t.equal(anew.status, 303)
      t.match((await world.api(eve, 'GET', `${path}/password`)).json, { items: [{ lapsed: false }] })
      const again = await world.api(eve, 'POST', `${path}/transfer`, { to: 'eve' })
      t.match(again.json, { ended: { links: 0, passwords: 0 } }, 'to oneself nothing ends')
      t.match((await world.api(eve, 'GET', `${path}/password`)).json, { items: [{ lapsed: false }] })
    }
    await t.test('SQLite', (t) => check(t, null))
    const postgres = await startPostgres()
    t.teardown(() => postgres?.stop())
    const skip = postgres === null ? 'no PostgreSQL' : false
    await t.test('PostgreSQL', { skip }, async (t) =>
      check(t, (await postgres?.database('transfer')) ?? null),
    )
  },
)

t.test('a use is counted once, on SQLite and on PostgreSQL', async (t) => {
  const count = async (t: Test, databaseUrl: string | null): Promise<void> => {
    const world = await linksWorld(t, databaseUrl)
    const shop = await world.workspace('shop', 'link')
    const { secret } = await world.link(shop.id, { maxUses: 5 })
    const visitors = Array.from({ length: 50 }, (_, i) => new Visitor(world, `198.51.100.${i}`))
    const answers = await Promise.all(
      visitors.map((visitor) => visitor.post('shop', '/.postern/link', { token: secret })),
    )
    t.equal(answers.filter(({ status }) => status === 303).length, 5, 'five of fifty come in')
    t.equal(answers.filter(({ status }) => status === 410).length, 45, 'and the others hear that it is over')
    const inside = await Promise.all(visitors.map(async (visitor) => (await visitor.get('shop')).status))
    t.equal(inside.filter((status) => status === 200).length, 5)
    const { json } = await world.api(world.ada, 'GET', `/api/v1/workspaces/${shop.id}/links`)
    t.equal((json.items[0] as unknown as LinkView).uses, 5)
  }
  await t.test('SQLite', (t) => count(t, null))
  const postgres = await startPostgres()
  t.teardown(() => postgres?.stop())
  const skip = postgres === null ? 'no PostgreSQL' : false
  await t.test('PostgreSQL', { skip }, async (t) => count(t, (await postgres?.database('links')) ?? null))
})

t.test('what a link opens: every visibility, through every door', async (t) => {
  const world = await linksWorld(t)
  const shop = await world.workspace('shop', 'link', 'link')
  const [port, other] = world.apps.map((app) => app.port)
  const whole = await world.link(shop.id)
  const one = await world.link(shop.id, { port })
  const brief = await world.link(shop.id, { expiresAt: new Date(world.clock.now + 600_000).toISOString() })
  const guests = { whole: new Visitor(world), one: new Visitor(world), brief: new Visitor(world) }
  await guests.whole.redeem('shop', whole.secret)
  await guests.one.redeem(`shop-${port}`, one.secret)
  await guests.brief.redeem('shop', brief.secret)
  t.same([...guests.one.jar.keys()], [`shop-${port}`], 'a link to one port signs in to no other')
  world.clock.now += 600_001
  await world.sweep()

  const label = `shop-${port}`
  await guests.whole.get(label)
  const doors = async (visitor: Visitor, at: string): Promise<number[]> =>
    throughDoors(world, at, visitor.fields(at))
  for (const visibility of ['owner', 'shared', 'members', 'link', 'public'] as const) {
    await world.opens(shop.id, visibility, 'link')
    const opens = visibility === 'link' || visibility === 'public'
    const yes = [200, 200, 200]
    const no = [401, 401, 401]
    t.same(await doors(guests.whole, 'shop'), opens ? yes : no, `${visibility}: link holder`)
    t.same(await doors(guests.one, label), opens ? yes : no, `${visibility}: holder of a link to this port`)
    t.same(
      await doors(guests.brief, 'shop'),
      visibility === 'public' ? yes : no,
      `${visibility}: expired link`,
    )
  }
  // The same cookie elsewhere is nobody's.
  const cookie = guests.one.cookie(label)
  t.same(
    await throughDoors(world, `shop-${other}`, [`Cookie: ${cookie}`]),
    [401, 401, 401],
    'at a port that the link does not cover',
  )
  t.same(
    await throughDoors(world, `shop-${other}`, [`Cookie: ${guests.whole.cookie('shop')}`]),
    [401, 401, 401],
    'at another host of the workspace',
  )
  await world.workspace('sibling', 'link', 'link')
  t.same(await throughDoors(world, 'sibling', [`Cookie: ${guests.whole.cookie('shop')}`]), [401, 401, 401])
  t.same(
    await throughDoors(world, 'nothing', [`Cookie: ${guests.whole.cookie('shop')}`]),
    [401, 401, 401],
    'at a host without a workspace',
  )
  await world.opens(shop.id, 'link', 'link')
  const foreign = await ask(world.port, {
    host: hostOf('shop'),
    method: 'POST',
    headers: [...guests.whole.fields('shop'), `Origin: http://${hostOf('sibling')}`],
  })
  t.equal(foreign.status, 403, 'and a sibling’s page makes no requests by it')
})

t.test('a guest is nobody at the dashboard, the API, and the Start button', async (t) => {
  const world = await linksWorld(t)
  const shop = await world.workspace('shop', 'link')
  const { secret } = await world.link(shop.id)
  const guest = new Visitor(world)
  await guest.redeem('shop', secret)
  const value = guest.cookie('shop').split('=')[1] ?? ''
  const own = 'Origin: http://localhost:8090'
  for (const name of ['postern_workspace', 'postern_session', '__Host-postern_session'])
    for (const path of ['/api/v1/me', '/api/v1/workspaces', `/api/v1/workspaces/${shop.id}/links`]) {
      const headers = [`Cookie: ${name}=${value}`, own]
      t.equal(
        (await ask(world.port, { host: 'localhost:8090', path, headers })).status,
        401,
        `${name} ${path}`,
      )
    }
  const authorize = `/.postern/authorize?host=shop&c=${'A'.repeat(43)}`
  const code = await ask(world.port, {
    host: 'localhost:8090',
    path: authorize,
    headers: [...navigates, `Cookie: postern_session=${value}`],
  })
  t.match(code.field('Location'), /^\/sign-in/, 'no code is made for a guest')
  const started = await guest.post('shop', '/.postern/start', { back: '/' })
  t.equal(started.status, 403)
  t.equal((await guest.get('shop', '/.postern/authorize')).status, 404)
  const bearer = await ask(world.port, { host: hostOf('shop'), headers: [`X-Postern-Token: ${secret}`] })
  t.equal(bearer.status, 401, 'and the secret is no token')
})

t.test('an expired, a used-up, a revoked and a wrong link', async (t) => {
  const world = await linksWorld(t)
  const shop = await world.workspace('shop', 'link')
  const expiring = await world.link(shop.id, { expiresAt: new Date(world.clock.now + 60_000).toISOString() })
  const twice = await world.link(shop.id, { maxUses: 1 })
  const early = new Visitor(world)
  await early.redeem('shop', expiring.secret)
  const socket = await openSocket(world, 'shop', early.fields('shop'))
  await new Visitor(world).redeem('shop', twice.secret)
  const page = async (label: string, secret: string) =>
    new Visitor(world).post(label, '/.postern/link', { token: secret })

  const used = await page('shop', twice.secret)
  t.equal(used.status, 410)
  t.match(used.body, /used as often as it may be/)
  world.clock.now += 60_001
  await socket.closed(60_000)
  const over = await page('shop', expiring.secret)
  t.equal(over.status, 410)
  t.match(over.body, /It has expired/)

  const wrong = `psl_${'x'.repeat(43)}`
  const same = (answer: Answer): string =>
    answer.body.replaceAll(/<code>[^<]*/g, '') + answer.fields.filter((f) => !/^(date|x-request-id)/i.test(f))
  const answers = [
    await page('shop', wrong),
    await page('nothing', wrong),
    await page('nothing', expiring.secret),
    await page('shop', 'nonsense'),
  ]
  for (const answer of answers) t.equal(answer.status, 404)
  t.same(new Set(answers.map(same)).size, 1, 'a wrong secret, and one of nothing, are answered alike')

  // What others at one address try keeps nobody out who has a right one.
  const fresh = await world.link(shop.id)
  let refused = 0
  for (let i = 0; i < 40; i++) if ((await page('shop', wrong)).status === 429) refused++
  t.ok(refused > 0, 'many wrong ones from one address are refused')
  t.equal((await new Visitor(world).redeem('shop', fresh.secret)).answer.status, 200, 'a right one is not')
  const cross = await ask(world.port, {
    host: hostOf('shop'),
    path: '/.postern/link',
    method: 'POST',
    headers: [...navigates, 'Origin: http://evil.example', 'Content-Type: application/x-www-form-urlencoded'],
    body: `token=${fresh.secret}`,
  })
  t.equal(cross.status, 403, 'no other site makes a guest of anybody')
})

t.test('a lowered visibility and the trash end what guests have open; a purge takes the links', async (t) => {
  const world = await linksWorld(t)
  const shop = await world.workspace('shop', 'link')
  const { secret } = await world.link(shop.id)
  const guest = new Visitor(world)
  await guest.redeem('shop', secret)
  let socket = await openSocket(world, 'shop', guest.fields('shop'))
  await world.opens(shop.id, 'members')
  await socket.closed(60_000)
  await world.opens(shop.id, 'link')
  socket = await openSocket(world, 'shop', guest.fields('shop'))
  const call = (method: string, path = ''): Promise<{ status: number }> =>
    world.api(world.ada, method, `/api/v1/workspaces/${shop.id}${path}`)
  t.equal((await call('DELETE')).status, 202)
  await socket.closed(60_000)
  t.equal((await guest.get('shop')).status, 303, 'in the trash it is nobody’s')
  t.equal((await new Visitor(world).post('shop', '/.postern/link', { token: secret })).status, 404)
  t.equal((await call('POST', '/restore')).status, 202)
  t.equal((await call('POST', '/start')).status, 202)
  await world.agent()
  t.equal((await guest.get('shop')).status, 200, 'restored, it is theirs again')

  t.equal((await call('DELETE', '?purge=true')).status, 202)
  await world.agent()
  await until(async () => (await call('GET')).status === 404, slow)
  for (const table of ['links', 'guests'])
    t.same(await world.deployment.feed.db(table).select('*'), [], table)
})

t.test(
  'the deployment’s cap ends what is wider, open sockets and links too, until it is lifted',
  async (t) => {
    const world = await linksWorld(t)
    const shop = await world.workspace('shop', 'link', 'members')
    const bob = await world.member('bob')
    const { secret } = await world.link(shop.id)
    const guest = new Visitor(world)
    await guest.redeem('shop', secret)
    const second = `shop-${world.apps[1].port}`
    const cookie = `Cookie: ${await world.cookieOf(bob, shop.id, second)}`
    const sockets = [
      await openSocket(world, 'shop', guest.fields('shop')),
      await openSocket(world, second, [cookie]),
    ]
    const cap = (maxVisibility: string) =>
      world.api(world.ada, 'PATCH', '/api/v1/settings', { maxVisibility })
    t.equal((await cap('shared')).status, 200)
    for (const socket of sockets) await socket.closed(60_000)
    const asBob = () => ask(world.port, { host: hostOf(second), headers: [cookie] })
    t.equal((await guest.get('shop')).status, 303)
    t.equal((await asBob()).status, 404)
    const late = new Visitor(world)
    await late.post('shop', '/.postern/link', { token: secret })
    t.equal((await late.get('shop')).status, 303, 'a link opens nothing now')
    const made = await world.api(world.ada, 'POST', `/api/v1/workspaces/${shop.id}/links`, {})
    t.match(made, { status: 409, json: { code: 'not_linkable' } })
    t.equal((await cap('public')).status, 200)
    t.equal((await guest.get('shop')).status, 200)
    t.equal((await asBob()).status, 200)
  },
)

t.test('a guest who is here stays; one who left does not', async (t) => {
  const world = await linksWorld(t)
  const shop = await world.workspace('shop', 'link')
  const { secret } = await world.link(shop.id)
  const [here, left] = [new Visitor(world), new Visitor(world)]
  await here.redeem('shop', secret)
  // Without a look at the page: that use would be told in its own time, by a clock that has gone on.
  await left.post('shop', '/.postern/link', { token: secret })
  const { db } = world.deployment.feed
  const hash = hashOf(here.cookie('shop').split('=')[1] ?? '')
  for (let hours = 0; hours < 30; hours += 10) {
    world.clock.now += 10 * 3600_000
    t.equal((await here.get('shop')).status, 200, `after ${hours + 10} hours`)
    await until(async () => {
      const row = (await db('guests').where({ hash }).first()) as { last_used_at_ms: number }
      return Number(row.last_used_at_ms) === world.clock.now
    }, slow)
    // The gateway knows, too, before the clock goes on.
    await world.deployment.feed.pump()
  }
  await world.sweep()
  t.equal((await left.get('shop')).status, 303)
  t.equal((await db('guests').select('*')).length, 1)
})

t.test('a gateway in a process of its own asks for the same', async (t) => {
  const world = await linksWorld(t)
  const shop = await world.workspace('shop', 'link', 'link')
  const { secret } = await world.link(shop.id, { maxUses: 1 })
  const url = `http://127.0.0.1:${world.port}`
  const made = await world.api(world.ada, 'POST', '/api/v1/gateways/tokens', { name: 'edge' })
  const self = { name: 'edge', machineId: 'machine-two', version: '0' }
  const joined = await joinControl(url, String(made.json['token']), self, AbortSignal.timeout(60_000))
  const { token } = await exchangeCredential(url, joined.credential ?? '', AbortSignal.timeout(60_000))
  const remote = remoteControl(url, () => token)
  t.teardown(() => remote.close())
  const given = { secret, workspaceId: shop.id, label: 'shop' }
  const session = await remote.redeemLink(given, origin)
  const fields = [`Cookie: postern_workspace=${session.token}`]
  t.same(await throughDoors(world, 'shop', fields), [200, 200, 200])
  await t.rejects(remote.redeemLink(given, origin), { code: 'link_over' })
  await t.rejects(remote.redeemLink({ ...given, secret: 'psl_' }, origin), { code: 'link_unknown' })
  const sessionHash = hashOf(session.token)
  const label = `shop-${world.apps[1].port}`
  const other = await remote.joinGuest({ sessionHash, label }, origin)
  t.same(
    await throughDoors(world, label, [`Cookie: postern_workspace=${other.token}`]),
    [200, 200, 200],
    'on the next host',
  )
  await remote.guestUsed(sessionHash)
  const body = { password: 'open sesame' }
  await world.api(world.ada, 'PUT', `/api/v1/workspaces/${shop.id}/password`, body)
  t.same(await throughDoors(world, 'shop', fields), [401, 401, 401])
  const holder = { kind: 'session', hash: sessionHash } as const
  const pass = { workspaceId: shop.id, port: null, label: 'shop', holder }
  await t.rejects(remote.givePassword({ ...pass, password: 'wrong' }, origin), { code: 'wrong_password' })
  t.equal(await remote.givePassword({ ...pass, ...body }, origin), null)
  t.same(await throughDoors(world, 'shop', fields), [200, 200, 200])
  t.match(await remote.givePassword({ ...pass, ...body, holder: null }, origin), { token: String })
})

t.test('no link to what is not open to links', async (t) => {
  const world = await linksWorld(t)
  const shop = await world.workspace('shop', 'members', 'link')
  const [port, other] = world.apps.map((app) => app.port)
  const make = (body: object) => world.api(world.ada, 'POST', `/api/v1/workspaces/${shop.id}/links`, body)
  t.match(await make({ port }), { status: 409, json: { code: 'not_linkable' } })
  t.match((await make({})).json['url'], new RegExp(`^http://shop-${other}\\.`), 'it leads to what is open')
  t.match(await make({ expiresAt: '2001-01-01T00:00:00Z' }), { status: 422 })
  t.match(await make({ maxUses: 0 }), { status: 422 })
  const bob = await world.member('bob')
  for (const method of ['GET', 'POST'])
    t.equal((await world.api(bob, method, `/api/v1/workspaces/${shop.id}/links`, {})).status, 404, method)
})
