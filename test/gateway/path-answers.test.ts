// Path mode: what of an app's answers reaches the visitor there, by both engines and both versions of HTTP.
import t from 'tap'
import { portDefaults } from '../../control/wire/index.ts'
import { type Answer, ask, OK, type SeenRequest } from '../support/gateway-bytes.ts'
import { doorsOf, type EdgeUnderTest, startEdge } from '../support/gateway-edge.ts'

const PATHS = 'http://paths.localhost:8090'
const HOST = 'paths.localhost:8090'

/** The Cookie line of alice's session by path, which control made. */
function papers(edge: EdgeUnderTest): string {
  const session = edge.control.child(edge.control.session('alice'), 'id0000shop', '/dev/shop')
  return `Cookie: postern_path_shop=${session}`
}

t.test('answers are narrowed to the prefix, and nothing else is rewritten', async (t) => {
  let said = ''
  const edge = await startEdge(t, {
    pathUrl: PATHS,
    script: ({ socket }) => void socket.write(said === '' ? OK : said),
  })
  edge.workspace('shop')
  const cookie = papers(edge)
  const says = async (...fields: string[]): Promise<Answer> => {
    said = `HTTP/1.1 302 Found\r\n${fields.map((field) => `${field}\r\n`).join('')}Content-Length: 0\r\n\r\n`
    return ask(edge.port, { host: HOST, path: '/dev/shop/ide/a/b', headers: [cookie] })
  }
  for (const [given, shown] of [
    ['/x?y=/z', '/dev/shop/ide/x?y=/z'],
    ['/', '/dev/shop/ide/'],
    ['x', 'x'],
    ['../x', '../x'],
    ['?x', '?x'],
    ['//other.example/x', '//other.example/x'],
    ['/\\other.example', '/\\other.example'],
    ['https://other.example/x', 'https://other.example/x'],
    [`http://localhost:${edge.upstream.port}/x`, `${PATHS}/dev/shop/ide/x`],
    [`http://127.0.0.1:${edge.upstream.port}`, `${PATHS}/dev/shop/ide/`],
    [`${PATHS}/x`, `${PATHS}/dev/shop/ide/x`],
    [`${PATHS}/dev/shop/ide/x`, `${PATHS}/dev/shop/ide/x`],
    [`${PATHS}.evil.example/x`, `${PATHS}.evil.example/x`],
    ['/dev/shop/ide/x', '/dev/shop/ide/x'],
    ['/dev/shop/ide2/x', '/dev/shop/ide/dev/shop/ide2/x'],
  ] as const)
    t.equal((await says(`Location: ${given}`)).field('location'), shown, given)
  for (const [given, shown] of [
    ['a=1', 'a=1'],
    ['a=1; Path=/; HttpOnly', 'a=1; Path=/dev/shop/ide/; HttpOnly'],
    ['a=1;path=/x;Secure', 'a=1; Path=/dev/shop/ide/x;Secure'],
    ['a=1; Path=/dev/other/ide/', 'a=1; Path=/dev/shop/ide/dev/other/ide/'],
    ['a=1; Path=/dev/shop/ide/x', 'a=1; Path=/dev/shop/ide/x'],
    ['a=1; Path=/; Path=/dev/other', 'a=1; Path=/dev/shop/ide/; Path=/dev/shop/ide/dev/other'],
    ['a=1; Path=x', 'a=1; Path=x'],
    ['a=1; Domain=paths.localhost; Path=/', 'a=1; Path=/dev/shop/ide/'],
    ['a=1; DOMAIN = localhost', 'a=1'],
    ['__Host-a=1; Secure; Path=/', null],
    ['=__Host-a=1; Path=/', null],
    ['postern_path_other=1; Path=/', null],
    ['__Secure-postern_path_shop=1; Path=/', null],
    ['postern_session=1', null],
  ] as const)
    t.equal((await says('Location: x', `Set-Cookie: ${given}`)).field('set-cookie'), shown, given)
  const all = await says(
    'Service-Worker-Allowed: /',
    'Clear-Site-Data: "*"',
    'Strict-Transport-Security: max-age=0',
    'Alt-Svc: h3=":1"',
    'NEL: {}',
    'Report-To: {}',
    'Cross-Origin-Opener-Policy: same-origin',
    'Cross-Origin-Embedder-Policy: require-corp',
    'Content-Location: /x',
    'Refresh: 0; url=/x',
    'Link: </x>; rel=preload',
    'Access-Control-Allow-Origin: *',
  )
  t.same(
    all.fields
      .map((field) => field.split(':')[0])
      .filter((name) => !/^(date|connection|vary|content-length)$/i.test(name ?? '')),
    [
      'Cross-Origin-Opener-Policy',
      'Cross-Origin-Embedder-Policy',
      'Content-Location',
      'Refresh',
      'Link',
      'Access-Control-Allow-Origin',
    ],
  )
})

t.test('by HTTP/2 and by the engine that forgives it is the same', async (t) => {
  const moved = 'HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 0\r\n\r\n'
  const edge = await startEdge(t, { pathUrl: PATHS, script: ({ socket }) => void socket.write(moved) })
  for (const lenient of [false, true]) {
    const ports = [{ ...portDefaults, port: edge.upstream.port, visibility: 'owner', lenient }] as const
    edge.workspace('shop', { ports })
    const cookie = papers(edge)
    for (const door of doorsOf(edge).filter(({ name }) => name === 'http' || name === 'http2')) {
      const answer = await door.try({ host: HOST, path: '/dev/shop/ide/a//b?c', headers: [cookie] })
      t.equal(answer.field('location'), '/dev/shop/ide/x', `${door.name}, ${lenient}`)
      t.equal(answer.field('set-cookie'), 'a=1; Path=/dev/shop/ide/x'.slice(0, -1))
      const { head, fields } = edge.upstream.requests.at(-1) as SeenRequest
      t.match(head, 'GET /a//b?c HTTP/1.1')
      t.ok(fields.includes('X-Forwarded-Prefix: /dev/shop/ide'))
      t.equal((await door.try({ host: HOST, path: '/dev/shop/ide/../x', headers: [cookie] })).status, 400)
    }
  }
})
