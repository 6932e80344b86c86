// https without anything in front: a browser signs in and works over HTTP/2; curl; certificates renewed by SIGHUP; how it starts and how not.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import t from 'tap'
import type { Page } from 'playwright-core'
import { resolveConfig } from '../../control/cli/config.ts'
import { listeningOf } from '../../control/cli/listeners.ts'
import { serverOptions } from '../../control/cli/options.ts'
import type { StartupError } from '../../control/cli/startup-error.ts'
import { launch, noBrowser } from '../support/product-browser.ts'
import { freePorts } from '../support/free-port.ts'
import { CliProcess } from '../support/product-process.ts'
import { startProduct, type Product } from '../support/product.ts'
import { type Authority, makeAuthority } from '../support/tls-authority.ts'
import { until } from '../support/until.ts'

const run = promisify(execFile)
const password = 'correct horse battery'

interface Secure {
  readonly product: Product
  readonly authority: Authority
  readonly port: number
  /** Of the dashboard. */
  readonly origin: string
}

/** Names of two registrable domains, as an operator would have. */
async function startSecure(t: Parameters<typeof makeAuthority>[0]): Promise<Secure> {
  const authority = makeAuthority(t)
  const dashboard = authority.issue('dashboard', ['postern.test'])
  const workspaces = authority.issue('workspaces', ['*.ws.postern-dev.test'])
  const [port = 0] = await freePorts(1)
  const origin = `https://postern.test:${port}`
  const product = await startProduct(t, {
    runtime: 'process',
    setup: false,
    args: [
      `--tls-listen=127.0.0.1:${port}`,
      `--tls-cert=${dashboard.cert},${workspaces.cert}`,
      `--tls-key=${dashboard.key},${workspaces.key}`,
      `--public-url=${origin}`,
      '--base-domain=ws.postern-dev.test',
    ],
  })
  return { product, authority, port, origin }
}

// As text: the browser's own names are not those of this program.
const protocolOf = (page: Page): Promise<string> =>
  page.evaluate<string>("performance.getEntriesByType('navigation')[0].nextHopProtocol")

const missingBrowser = (await noBrowser()) ?? false
const missingCurl = await access('/usr/bin/curl').then(
  () => false as const,
  () => 'curl is not installed (Debian: apt-get install curl)',
)

t.test(
  'a browser, from the set-up link to a WebSocket of a workspace',
  { timeout: 120_000, skip: missingBrowser },
  async (t) => {
    const { product, port, origin } = await startSecure(t)
    t.match(product.server.stderr, /isolates nothing/)
    t.notMatch(product.server.stderr, /[Cc]ertificate|TLS/)
    const browser = await launch(['--host-resolver-rules=MAP *.test 127.0.0.1'])
    t.teardown(() => browser.close())
    // Trust is what handshakes with the authority prove elsewhere.
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    page.setDefaultTimeout(30_000)
    t.ok(product.setupUrl?.startsWith(`${origin}/setup?token=`))
    await page.goto(product.setupUrl ?? '')
    t.equal(await protocolOf(page), 'h2')
    await page.fill('input[name=username]', 'admin')
    await page.fill('input[name=password]', password)
    await page.press('input[name=password]', 'Enter')
    await page.waitForURL(`${origin}/`)
    const made = await page.evaluate(async () => {
      const body = JSON.stringify({ name: 'shop', template: 'node-web' })
      const headers = { 'Content-Type': 'application/json' }
      return (await fetch('/api/v1/workspaces', { method: 'POST', headers, body })).status
    })
    t.equal(made, 202)
    const address = `https://shop-3000.ws.postern-dev.test:${port}/`
    await until(async () => (await page.goto(address))?.status() === 200, { timeoutMs: 60_000, everyMs: 300 })
    await page.waitForURL(address)
    t.match(await page.textContent('body'), /Hello from your workspace/)
    t.equal(await protocolOf(page), 'h2')
    const echoed = await page.evaluate(`new Promise((resolve, reject) => {
    const socket = new WebSocket('wss://' + location.host + '/ws')
    socket.addEventListener('open', () => socket.send('over TLS'))
    socket.addEventListener('message', ({ data }) => resolve(data))
    socket.addEventListener('error', () => reject(new Error('no WebSocket')))
  })`)
    t.equal(echoed, 'over TLS')
    const ours = (await context.cookies()).filter(({ name }) => /postern_(session|workspace)/.test(name))
    t.same(
      ours
        .map(({ name, secure, httpOnly }) => [name, secure, httpOnly])
        .toSorted((a, b) => String(a[0]).localeCompare(String(b[0]))),
      [
        ['__Host-postern_session', true, true],
        ['__Host-postern_workspace', true, true],
      ],
    )
    const upstream = await page.evaluate<unknown>("fetch('/headers').then((answer) => answer.json())")
    t.match(upstream, {
      headers: { 'x-forwarded-proto': 'https', via: '2.0 postern', 'x-postern-user': 'admin' },
    })
  },
)

t.test(
  'curl by both versions, and a certificate renewed by SIGHUP',
  { timeout: 120_000, skip: missingCurl },
  async (t) => {
    const { product, authority, port, origin } = await startSecure(t)
    const curl = async (...words: readonly string[]): Promise<string> => {
      const resolve = ['postern.test', 'shop.ws.postern-dev.test'].flatMap((host) => [
        '--resolve',
        `${host}:${port}:127.0.0.1`,
      ])
      const format = ['-o', '/dev/null', '-w', '%{http_version} %{http_code}']
      const { stdout } = await run('curl', [
        '-sS',
        '--cacert',
        join(authority.folder, 'ca.pem'),
        ...resolve,
        ...format,
        ...words,
      ])
      return stdout
    }
    t.equal(await curl('--http2', `${origin}/healthz`), '2 200')
    t.equal(await curl('--http1.1', `${origin}/healthz`), '1.1 200')
    t.equal(await curl(`https://shop.ws.postern-dev.test:${port}/`), '2 401')
    const body = join(authority.folder, 'body.json')
    await writeFile(body, JSON.stringify({ username: 'admin', password: 'x'.repeat(400) }))
    const json = ['-H', 'Content-Type: application/json', '-d', `@${body}`]
    t.equal(await curl(...json, `${origin}/api/v1/sessions`), '2 401')
    await writeFile(body, Buffer.alloc(3_000_000, 'x'))
    t.equal(await curl(...json, `${origin}/api/v1/sessions`), '2 413', 'an early answer is read over HTTP/2')
    authority.issue('dashboard', ['renewed.test'])
    product.server.child.kill('SIGHUP')
    const namesNow = async (): Promise<string> => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
      await once(socket, 'secureConnect')
      const { subjectaltname = '' } = socket.getPeerCertificate()
      socket.destroy()
      return subjectaltname
    }
    await until(async () => (await namesNow()) === 'DNS:renewed.test', { what: 'the new certificate' })
    t.ok(product.server.running)
  },
)

t.test(
  'what does not fit together is said at the start, with the next step',
  { timeout: 60_000 },
  async (t) => {
    const authority = makeAuthority(t)
    const { cert, key } = authority.issue('one', ['postern.test'])
    const tls = { 'tls-listen': '127.0.0.1:8443' }
    const problemsOf = async (flags: Readonly<Record<string, unknown>>): Promise<string> => {
      try {
        await listeningOf(resolveConfig(serverOptions, { flags, env: {}, file: {}, fileName: 'none' }))
        return 'none'
      } catch (err) {
        t.match(err, { code: 'config_invalid' })
        return (err as StartupError).problems.join('; ')
      }
    }
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ ...tls, 'tls-cert': cert, 'tls-key': key }, /^none$/],
      [tls, /tls-listen: needs --tls-cert/],
      [{ 'tls-cert': cert }, /tls-cert: is of no use without --tls-listen/],
      [{ ...tls, 'tls-cert': cert, 'tls-key': [key, key] }, /tls-key: has 2 files for 1/],
      [{ 'redirect-listen': '127.0.0.1:1' }, /--public-url must be https/],
      [{ hsts: '180d' }, /hsts: needs --tls-listen/],
      [
        { 'proxy-protocol': '127.0.0.1:1' },
        /127\.0\.0\.1:1 is none of --listen.*needs --proxy-protocol-from/,
      ],
      [{ 'proxy-protocol-from': '127.0.0.1' }, /of no use without --proxy-protocol/],
      [{ 'tls-listen': '/run/x.sock', 'tls-cert': cert }, /is for host:port, not for a unix socket/],
      [{ listen: 'off', ...tls, 'tls-cert': cert, 'tls-key': key, 'redirect-listen': '[::]:80' }, /^none$/],
    ]
    for (const [flags, expected] of cases) t.match(await problemsOf(flags), expected, JSON.stringify(flags))
    const { listen, certificates, publicUrl } = await listeningOf(
      resolveConfig(serverOptions, {
        flags: {},
        env: {},
        file: {
          listen: '127.0.0.1:8090',
          tls_listen: ['0.0.0.0:8443'],
          tls_cert: ['/a.pem', '/b.pem'],
          proxy_protocol: '0.0.0.0:8443',
          proxy_protocol_from: '10.0.0.0/8',
        },
        fileName: 'none',
      }),
    )
    t.same(listen, [
      { host: '127.0.0.1', port: 8090 },
      { host: '0.0.0.0', port: 8443, speaks: 'https', proxyProtocol: true },
    ])
    t.same(certificates, [
      { cert: '/a.pem', key: '/a.pem' },
      { cert: '/b.pem', key: '/b.pem' },
    ])
    t.equal(publicUrl, 'https://localhost:8443')
    const [port = 0] = await freePorts(1)
    const args = ['server', '--authz-listen=off', `--state-directory=${join(authority.folder, 'state')}`]
    const missing = [`--tls-listen=127.0.0.1:${port}`, `--tls-cert=${cert}`, '--tls-key=/nowhere']
    const started = new CliProcess({ home: authority.folder, args: [...args, ...missing] })
    t.equal((await started.ended).code, 2)
    t.match(started.stderr, /\/nowhere cannot be read[^]*certificate_unreadable\n {2}next: /)
  },
)
