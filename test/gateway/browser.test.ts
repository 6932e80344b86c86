// A real browser through the whole hand-off: what cookies, policies and redirects mean is its to say.
import { createHash } from 'node:crypto'
import { chromium } from 'playwright-core'
import t from 'tap'
import { freePort } from '../support/free-port.ts'
import { startEdge } from '../support/gateway-edge.ts'
import { until } from '../support/until.ts'

/** RFC 6455 §4.2.2. */
const acceptOf = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** A page that tries what an attacker's workspace would try against a sibling. */
const page = (port: number): string => `<!doctype html><title>app</title><p id="who"></p><script>
  const results = {}
  const socket = (host) => new Promise((done) => {
    const ws = new WebSocket('ws://' + host + ':${port}/ws')
    ws.onopen = () => done('open')
    ws.onerror = () => done('refused')
  })
  ;(async () => {
    results.own = await socket(location.hostname)
    results.sibling = await socket('victim.ws.localhost')
    results.read = await fetch('http://victim.ws.localhost:${port}/', { credentials: 'include', mode: 'no-cors' }).then(() => 'sent', () => 'failed')
    results.cookie = document.cookie
    document.title = JSON.stringify(results)
  })()
</script>`

t.test('sign-in leads to the very page; siblings stay apart; without script it works as well', async (t) => {
  const port = await freePort()
  const edge = await startEdge(t, {
    listen: [{ host: '127.0.0.1', port }],
    publicUrl: `http://localhost:${port}`,
    script: ({ head, socket }) => {
      const key = /\r\nsec-websocket-key: (.*)/i.exec(head)?.[1]
      const body = page(port)
      socket.write(
        key === undefined
          ? `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
          : `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`,
      )
    },
  })
  edge.workspace('shop')
  edge.workspace('victim')
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  t.teardown(() => browser.close())
  const context = await browser.newContext({ javaScriptEnabled: true })
  const tab = await context.newPage()
  const problems: string[] = []
  tab.on('console', (message) => {
    if (/Content Security Policy|violates/.test(message.text())) problems.push(message.text())
  })
  await tab.goto(`http://shop.ws.localhost:${port}/cart?id=7`)
  t.match(tab.url(), `http://localhost:${port}/sign-in`)
  await tab.fill('input[name=username]', 'alice')
  await tab.fill('input[name=password]', 'wrong-password')
  await tab.click('button')
  t.match(await tab.textContent('.error'), /match/)
  await tab.fill('input[name=password]', 'alice-password')
  await tab.click('button')
  await tab.waitForURL(`http://shop.ws.localhost:${port}/cart?id=7`)
  await tab.waitForFunction(`document.title.startsWith('{')`)
  const results = JSON.parse(await tab.title()) as Record<string, string>
  t.equal(results.own, 'open')
  t.equal(results.sibling, 'refused')
  t.equal(results.cookie, '', 'no script sees a cookie of ours')
  await tab.goto(`http://victim.ws.localhost:${port}/`)
  await tab.goto(`http://shop.ws.localhost:${port}/again`)
  await tab.waitForFunction(`document.title.startsWith('{')`)
  const crossed = edge.upstream.requests.filter(
    ({ head }) => /host: victim/i.test(head) && /(origin|referer): http:\/\/shop/i.test(head),
  )
  t.equal(
    (JSON.parse(await tab.title()) as Record<string, string>).sibling,
    'refused',
    'signed in there or not',
  )
  t.same(
    crossed.map(({ head }) => head),
    [],
    'nothing that the attacker sent reached the sibling’s app',
  )
  for (const cookie of await context.cookies()) {
    t.match(cookie.domain, /^(localhost|shop\.ws\.localhost|victim\.ws\.localhost)$/)
    t.equal(cookie.httpOnly, true)
    t.equal(cookie.sameSite, 'Lax')
  }
  t.same(problems, [])
  const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage()
  edge.workspace('quiet', { phase: 'stopped', reason: 'Because you asked for it.' })
  await plain.goto(`http://quiet.ws.localhost:${port}/x`)
  await plain.fill('input[name=username]', 'alice')
  await plain.fill('input[name=password]', 'alice-password')
  await plain.click('button')
  await plain.waitForSelector('text=quiet is stopped')
  await plain.click('button')
  await plain.waitForURL(`http://quiet.ws.localhost:${port}/x`)
  t.match(edge.control.started[0], /alice$/)
  const route = edge.workspace('quiet', { phase: 'starting' })
  await plain.reload()
  await plain.waitForSelector('text=quiet is waking up')
  edge.control.route({ ...route, phase: 'running' })
  await until(async () => (await plain.title()) === 'app')
  t.equal(await plain.title(), 'app', 'the waking page goes on by itself')
})
