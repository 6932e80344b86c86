/**
 * Passwords before workspaces and ports, on a real control behind a real gateway: who is asked, what a pass is good for,
 * when it dies, and what guessing comes to.
 */
import t from 'tap'
import { type Answer, rawClient, webSocketBytes } from '../support/gateway-bytes.ts'
import {
  ask,
  exchange,
  hostOf,
  type LinksWorld,
  linksWorld,
  type Person,
  Visitor,
} from '../support/links-world.ts'

t.setTimeout(240_000)
const WORD = 'open sesame'
const asForm = 'Content-Type: application/x-www-form-urlencoded'

/** What each door says to these fields: 200, or the code of the refusal. */
async function throughDoors(world: LinksWorld, label: string, fields: readonly string[]): Promise<unknown[]> {
  const host = hostOf(label)
  const said = (answer: Pick<Answer, 'status' | 'body'>): unknown =>
    answer.status === 200 || answer.status === 101
      ? 200
      : `${answer.status} ${(JSON.parse(answer.body) as { code: string }).code}`
  const http = await ask(world.port, { host, headers: fields })
  const socket = await rawClient(world.port)
  socket.send(webSocketBytes({ host, headers: [...fields, `Origin: http://${host}`] }))
  await socket.received(/\r\n\r\n(?:$|\{[^]*\}\n?$)/, 60_000)
  socket.socket.destroy()
  const [head = '', body = ''] = socket.text().split('\r\n\r\n')
  const status = Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1])
  const authz = await exchange(
    world.authzPort,
    `GET /api/authz/forward-auth HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ${host}\r\nX-Forwarded-Uri: /\r\n${fields.map((line) => `${line}\r\n`).join('')}Connection: close\r\n\r\n`,
  )
  return [said(http), said({ status, body }), said(authz)]
}

const yes = [200, 200, 200]
const asked = Array<string>(3).fill('401 password_required')

const set = async (world: LinksWorld, id: string, password: string, port?: number): Promise<void> => {
  const body = port === undefined ? { password } : { password, port }
  const { status, text } = await world.api(world.ada, 'PUT', `/api/v1/workspaces/${id}/password`, body)
  if (status !== 204) throw new Error(text)
}
const unset = (world: LinksWorld, id: string, port?: number) =>
  world.api(world.ada, 'DELETE', `/api/v1/workspaces/${id}/password`, port === undefined ? {} : { port })

const give = (visitor: Visitor, label: string, password: string, to = '/') =>
  visitor.post(label, '/.postern/password', { password, to })

/** A browser of somebody with an account, on a workspace's host. */
async function browserOf(world: LinksWorld, who: Person, id: string, ...labels: string[]): Promise<Visitor> {
  const visitor = new Visitor(world)
  for (const label of labels) {
    const [name = '', value = ''] = (await world.cookieOf(who, id, label)).split('=')
    visitor.jar.set(label, new Map([[name, value]]))
  }
  return visitor
}

t.test('who is asked for it: everybody but the owner, editors and managers', async (t) => {
  const world = await linksWorld(t)
  const bob = await world.member('bob')
  const shop = await world.workspace('shop', 'members')
  await set(world, shop.id, WORD)
  const fields = async (who: Person): Promise<string[]> => [
    `Cookie: ${await world.cookieOf(who, shop.id, 'shop')}`,
  ]
  t.same(await throughDoors(world, 'shop', await fields(world.ada)), yes, 'the owner')
  t.same(await throughDoors(world, 'shop', await fields(bob)), asked, 'a member')
  const token = [`X-Postern-Token: ${bob.token}`]
  t.same(await throughDoors(world, 'shop', token), asked, 'a member’s token')
  t.same(await throughDoors(world, 'shop', [`X-Postern-Token: ${world.ada.token}`]), yes, 'the owner’s token')
  for (const role of ['viewer', 'editor', 'manager']) {
    const made = await world.api(world.ada, 'POST', '/api/v1/grants', {
      subject: { kind: 'user', id: bob.id },
      object: { kind: 'workspace', id: shop.id },
      role,
    })
    t.equal(made.status, 201, made.text)
    t.same(await throughDoors(world, 'shop', token), role === 'viewer' ? asked : yes, role)
    await world.api(world.ada, 'DELETE', `/api/v1/grants/${String(made.json['id'])}`)
  }
  for (const visibility of ['owner', 'shared'] as const) {
    await world.opens(shop.id, visibility)
    const no = Array<string>(3).fill('404 not_found')
    t.same(await throughDoors(world, 'shop', token), no, `${visibility}: who may not otherwise hears of none`)
  }
  t.same(
    await throughDoors(world, 'shop', []),
    Array<string>(3).fill('401 unauthenticated'),
    'and a stranger signs in first',
  )
  const { json } = await world.api(world.ada, 'GET', `/api/v1/workspaces/${shop.id}/password`)
  t.same(
    json.items.map(({ port }) => port),
    [null],
  )
  t.notMatch(JSON.stringify(json), /scrypt|sesame/)
  t.equal((await world.api(bob, 'PUT', `/api/v1/workspaces/${shop.id}/password`, {})).status, 404)
  t.match(
    await world.api(world.ada, 'PUT', `/api/v1/workspaces/${shop.id}/password`, { password: 'short' }),
    {
      status: 422,
    },
  )
})

t.test('a person gives it once, for all hosts of the workspace, until it changes', async (t) => {
  const world = await linksWorld(t)
  const bob = await world.member('bob')
  const shop = await world.workspace('shop', 'members', 'members')
  const other = `shop-${world.apps[1].port}`
  await set(world, shop.id, WORD)
  const browser = await browserOf(world, bob, shop.id, 'shop', other)
  const form = await browser.get('shop', '/a?b=c')
  t.equal(form.status, 401)
  t.match(form.body, /action="\/\.postern\/password"/)
  t.match(form.body, /name="to" value="\/a\?b=c"/)
  t.notMatch(form.field('WWW-Authenticate'), /basic/i)
  const wrong = await give(browser, 'shop', 'wrong one')
  t.equal(wrong.status, 403)
  t.match(wrong.body, /role="alert">That isn/)
  const right = await give(browser, 'shop', WORD, '/a?b=c')
  t.same([right.status, right.field('Location')], [303, '/a?b=c'])
  t.same(await throughDoors(world, 'shop', browser.fields('shop')), yes)
  t.same(await throughDoors(world, other, browser.fields(other)), yes, 'the other port, too')
  const again = await browserOf(world, bob, shop.id, 'shop')
  t.same(await throughDoors(world, 'shop', again.fields('shop')), yes, 'and by the same sign-in')

  const sockets = []
  for (const label of ['shop', other]) {
    const socket = await rawClient(world.port)
    const headers = [...browser.fields(label), `Origin: http://${hostOf(label)}`]
    socket.send(webSocketBytes({ host: hostOf(label), headers }))
    await socket.received(/^HTTP\/1.1 101/, 60_000)
    sockets.push(socket)
  }
  await set(world, shop.id, 'another word')
  for (const socket of sockets) await socket.closed(60_000)
  t.same(await throughDoors(world, 'shop', browser.fields('shop')), asked, 'changed: asked again')
  t.equal((await give(browser, 'shop', WORD)).status, 403, 'for the new one')
  t.equal((await give(browser, 'shop', 'another word')).status, 303)
  await set(world, shop.id, 'another word')
  t.same(await throughDoors(world, 'shop', browser.fields('shop')), asked, 'set anew, it is another')
  t.equal((await unset(world, shop.id)).status, 204)
  t.same(await throughDoors(world, 'shop', browser.fields('shop')), yes, 'taken away, nobody is asked')
  t.equal((await unset(world, shop.id)).status, 204, 'also twice')
  await world.sweep()
  t.same(await world.deployment.feed.db('passes').select('*'), [])
})

t.test('a port’s own password, visitors of public ports, and programs', async (t) => {
  const world = await linksWorld(t)
  const bob = await world.member('bob')
  const shop = await world.workspace('shop', 'public', 'public')
  const [first, second] = world.apps.map(({ port }) => port) as [number, number]
  const [one, two] = [`shop-${first}`, `shop-${second}`]
  await set(world, shop.id, 'of this port', second)
  t.same(await throughDoors(world, one, []), yes, 'the other port has none')
  t.same(await throughDoors(world, two, []), asked)
  await set(world, shop.id, WORD)
  const visitor = new Visitor(world)
  t.equal((await give(visitor, two, WORD)).status, 403, 'the workspace’s doesn’t open a port with its own')
  const there = await visitor.follow(two, await give(visitor, two, 'of this port'))
  t.same([there.label, there.answer.status], [two, 200])
  t.same(await throughDoors(world, two, visitor.fields(two)), yes)
  t.same(await throughDoors(world, one, visitor.fields(one)), asked, 'nor the other way round')
  t.equal((await give(visitor, one, WORD)).status, 303)
  t.same(await throughDoors(world, one, visitor.fields(one)), yes)
  t.same(await throughDoors(world, two, visitor.fields(two)), yes)
  t.same(
    (world.apps[0].requests.at(-1)?.fields ?? []).filter((field) => /^(x-postern-user|cookie):/i.test(field)),
    ['X-Postern-User: '],
    'the app hears nothing of it',
  )
  const sibling = await ask(world.port, {
    host: hostOf(one),
    method: 'POST',
    headers: [...visitor.fields(one), 'Origin: http://evil.ws.localhost:8090'],
  })
  t.equal(sibling.status, 401, 'a strange page doesn’t ride on the pass')
  await world.opens(shop.id, 'members', 'members')
  t.same(
    await throughDoors(world, one, visitor.fields(one)),
    Array<string>(3).fill('401 unauthenticated'),
    'and the pass alone opens what is public only',
  )

  // A program with a token gives it once, by a form as well; nothing is taken from a query.
  const token = `X-Postern-Token: ${bob.token}`
  const host = hostOf(one)
  t.equal(
    (await ask(world.port, { host, path: `/?password=${encodeURIComponent(WORD)}`, headers: [token] }))
      .status,
    401,
  )
  const body = new URLSearchParams({ password: WORD }).toString()
  const given = { host, path: '/.postern/password', method: 'POST', headers: [token, asForm], body }
  t.equal((await ask(world.port, given)).status, 204)
  t.same(await throughDoors(world, one, [token]), yes)
  t.same(await throughDoors(world, two, [token]), asked)

  // nginx hears where the form is.
  const nginx = await exchange(
    world.authzPort,
    `GET /api/authz/auth-request HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Original-Method: GET\r\nX-Original-URL: http://${hostOf(two)}/a?b=c\r\n${token}\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: text/html\r\nConnection: close\r\n\r\n`,
  )
  t.equal(nginx.status, 401, nginx.body)
  t.equal(nginx.field('Location'), `http://${hostOf(two)}/.postern/password?to=%2Fa%3Fb%3Dc`)
  const page = await visitor.get(two, '/.postern/password?to=%2Fa')
  t.equal(page.status, 303, 'who isn’t let in otherwise is sent to sign in')
})

t.test('a preflight to a public port with a password is not the app’s', async (t) => {
  const world = await linksWorld(t)
  const shop = await world.workspace('shop', 'public', 'public')
  const label = `shop-${world.apps[1].port}`
  const ports = [
    { port: world.apps[0].port, visibility: 'public' },
    { port: world.apps[1].port, visibility: 'public', cors: 'app' },
  ]
  const patched = await world.api(world.ada, 'PATCH', `/api/v1/workspaces/${shop.id}`, { ports })
  t.equal(patched.status, 202)
  const preflight = {
    host: hostOf(label),
    method: 'OPTIONS',
    headers: [`Origin: http://${hostOf('shop')}`, 'Access-Control-Request-Method: POST'],
  }
  t.equal((await ask(world.port, preflight)).status, 200)
  const before = world.apps[1].requests.length
  await set(world, shop.id, WORD)
  t.equal((await ask(world.port, preflight)).status, 204)
  t.equal(world.apps[1].requests.length, before, 'the app hears of none')
})

t.test('guessing fails, and locks out nobody else', async (t) => {
  const world = await linksWorld(t)
  const bob = await world.member('bob')
  const shop = await world.workspace('shop', 'public')
  await world.workspace('hall', 'public')
  await set(world, shop.id, WORD)
  const guess = async (ip: string, password: string): Promise<number> => {
    const answer = await give(new Visitor(world, ip), 'shop', password)
    if (answer.status === 429) t.match(answer.field('Retry-After'), /^\d+$/)
    return answer.status
  }
  const tries: number[] = []
  for (let i = 0; i < 12; i++) tries.push(await guess('203.0.113.9', `guess ${i}`))
  t.same(tries.slice(0, 5), [403, 403, 403, 403, 403])
  t.same([...new Set(tries.slice(5))], [429], 'one address soon waits')
  t.equal(await guess('203.0.113.9', WORD), 429, 'with the right one, too')
  t.equal(await guess('203.0.113.10', WORD), 303, 'its neighbour doesn’t')
  world.clock.now += 16_000
  t.equal(await guess('203.0.113.9', WORD), 303, 'and after a quarter of a minute neither does it')

  // A crowd: many addresses, a few tries each, all at once.
  const crowd = Array.from({ length: 120 }, (_, i) => guess(`192.0.2.${i}`, 'guess'))
  const counts = (await Promise.all(crowd)).filter((status) => status === 403).length
  t.ok(counts <= 60, `a crowd had ${counts} guesses`)
  t.equal(await guess('198.51.100.77', WORD), 429, 'strangers wait')
  const known = await browserOf(world, bob, shop.id, 'shop')
  t.equal((await give(known, 'shop', WORD)).status, 303, 'who is known does not')
  world.clock.now += 6001
  t.equal(await guess('198.51.100.77', WORD), 303, 'and strangers wait for six seconds')
  t.notMatch(world.said.join('\n'), /open sesame|open\+sesame|open%20sesame/, 'no password is in a log')
})
