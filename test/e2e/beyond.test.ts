/**
 * A member gets a folder of the host and its network through everything: the host's owner lets it, an administrator
 * grants it, the form offers it then and not before, Docker mounts it, and a visitor reads it through the edge.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Docker from 'dockerode'
import t from 'tap'
import type { HostView, Limits, WorkspaceView } from '../../control/wire/index.ts'
import { freePorts } from '../support/free-port.ts'
import { launch, noBrowser, signIn } from '../support/product-browser.ts'
import type { Client } from '../support/product-client.ts'
import { needImages } from '../support/product-images.ts'
import { startProduct } from '../support/product.ts'
import { until } from '../support/until.ts'

const lacks = (await needImages(new Docker(), ['blank'])) ?? (await noBrowser())
/** Says what is in the mount; on a port that is the host's where it has the host's network. */
const program =
  "require('node:http').createServer((q, s) => s.end(require('node:fs').readFileSync('/data/mark'))).listen(Number(process.env.AT))"

t.test(
  'a folder of the host, from the form to the visitor',
  { skip: lacks ?? false, timeout: 240_000 },
  async (t) => {
    const root = realpathSync(mkdtempSync(join(tmpdir(), 'postern-beyond-')))
    t.teardown(() => rmSync(root, { recursive: true, force: true }))
    const given = join(root, 'given')
    mkdirSync(join(given, 'set'), { recursive: true })
    mkdirSync(join(root, 'kept'))
    writeFileSync(join(given, 'set', 'mark'), 'from the host')
    writeFileSync(join(root, 'kept', 'mark'), 'a secret of the host')
    symlinkSync(join(root, 'kept'), join(given, 'way-out'))
    const product = await startProduct(t, {
      mode: 'split',
      runtime: 'docker',
      agentArgs: ['--allow-mounts', given, '--allow-host-network'],
    })
    const { admin } = product
    const bob = await product.member('bob')
    const limits = (who: Client) => who.must<Limits>('GET', '/api/v1/limits')
    const [port = 0] = await freePorts(1)
    const spec = (name: string, source: string, more = {}) => ({
      name,
      template: 'blank',
      command: ['node', '-e', program],
      env: [{ name: 'AT', value: '3000' }],
      ports: [{ port: 3000 }],
      mounts: [{ source, target: '/data' }],
      ...more,
    })
    t.match((await bob.api('POST', '/api/v1/workspaces', spec('early', join(given, 'set')))).json(), {
      code: 'grant_missing',
      errors: [{ path: 'mounts' }],
    })
    t.notOk('mounts' in (await limits(bob)))
    const browser = await launch()
    t.teardown(() => browser.close())
    const page = await browser.newPage()
    await page.goto(product.url)
    await signIn(page, 'bob', 'password of bob')
    await page.getByRole('link', { name: 'New workspace' }).first().waitFor({ timeout: 30_000 })
    await page.goto(`${product.url}/new`)
    await page.getByLabel('Name', { exact: true }).waitFor({ timeout: 30_000 })
    t.equal(await page.getByText('Folders of the host').count(), 0, 'not offered without a grant')

    const { items } = await admin.must<{ items: HostView[] }>('GET', '/api/v1/hosts')
    t.match(items[0]?.gives, { mounts: [given], hostNetwork: true })
    await admin.must('POST', '/api/v1/grants', {
      subject: { kind: 'user', id: 'bob' },
      object: { kind: 'host', id: items[0]?.id },
      capabilities: ['create', 'bind-mounts', 'host-network'],
    })
    t.match(await limits(bob), { mounts: { under: [given] }, hostNetwork: true })
    await page.reload()
    await page.getByLabel('Name', { exact: true }).fill('shop')
    await page.getByText('Folders of the host').waitFor({ timeout: 30_000 })
    await page.getByRole('button', { name: /add a folder/i }).click()
    await page.getByLabel('Folder of the host', { exact: true }).fill(join(root, 'kept'))
    await page.getByRole('button', { name: 'Create' }).click()
    await page.getByText(`Only in ${given}`).waitFor({ timeout: 30_000 })
    await page.getByLabel('Folder of the host', { exact: true }).fill(join(given, 'set'))
    if (process.env['POSTERN_SHOTS'] !== undefined)
      for (const [name, width] of [
        ['desktop', 1280],
        ['phone', 390],
      ] as const) {
        await page.setViewportSize({ width, height: 900 })
        await page.getByText('The host’s own network').scrollIntoViewIfNeeded()
        await page.screenshot({ path: join(process.env['POSTERN_SHOTS'], `beyond-${name}.png`) })
      }
    await page.getByRole('button', { name: 'Create' }).click()
    await page.getByText('Folder of the host').waitFor({ timeout: 60_000 })
    const { items: made } = await bob.must<{ items: WorkspaceView[] }>('GET', '/api/v1/workspaces')
    t.match(made[0], { spec: { mounts: [{ source: join(given, 'set'), target: '/data', readOnly: true }] } })

    const reads = (name: string) =>
      until(
        async () => {
          const answer = await bob.browse(product.workspaceUrl(name))
          return answer.status === 200 && answer.text === 'from the host'
        },
        { timeoutMs: 60_000, what: `${name} says what is in the folder` },
      )
    await bob.must('POST', '/api/v1/workspaces', spec('served', join(given, 'set')))
    await reads('served')
    const env = [{ name: 'AT', value: String(port) }]
    const onHost = { networks: ['host'], env, ports: [{ port }] }
    await bob.must('POST', '/api/v1/workspaces', spec('neighbour', join(given, 'set'), onHost))
    await reads('neighbour')
    const other = await bob.browse(product.workspaceUrl(`neighbour-${product.port}`))
    t.match(String(other.status), /^50[23]$/, 'a port that it hasn’t declared is the host’s')
    t.notMatch(other.text, 'Sign in', 'such as the server’s own')

    const out = await bob.must<WorkspaceView>(
      'POST',
      '/api/v1/workspaces',
      spec('sly', join(given, 'way-out')),
    )
    const seen = await until(
      async () => {
        const now = await bob.must<WorkspaceView>('GET', `/api/v1/workspaces/${out.id}`)
        return now.phase === 'failed' ? now : null
      },
      { timeoutMs: 60_000, what: 'the host’s refusal' },
    )
    t.match(seen.reason, { code: 'unsupported', message: /does not give .*way-out.*--allow-mounts/ })
    t.notMatch(seen.reason?.message, /kept/, 'where it leads to isn’t told')
  },
)
