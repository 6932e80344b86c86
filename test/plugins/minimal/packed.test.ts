/**
 * A stranger's plugin: packed with npm, installed from tarballs in a folder outside the repository, loaded by name
 * and by path, run through the kit there, and used to run a workspace.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Host } from '@postern/plugin'
import { nodeProbe } from '@postern/plugin/testing'
import t from 'tap'
import { loadPlugin } from '../../../agent/load-plugin.ts'
import { checkPlugin } from '../../../control/cli/plugin-check.ts'
import { until } from '../../support/until.ts'

const run = promisify(execFile)
const repository = join(dirname(fileURLToPath(import.meta.url)), '../../../..')

/** npm with a cache of its own that reaches no registry. */
async function npm(cwd: string, ...args: string[]): Promise<string> {
  const offline = ['--offline', '--no-audit', '--no-fund', '--cache', join(cwd, '.npm-cache')]
  return (await run('npm', [...args, ...offline], { cwd })).stdout
}

async function pack(from: string, into: string): Promise<string> {
  const packed = JSON.parse(await npm(into, 'pack', '--json', join(repository, from))) as {
    filename: string
  }[]
  return `./${packed[0]?.filename ?? ''}`
}

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }

t.test('a plugin installed from tarballs outside the repository', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-packed-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'package.json'), '{ "name": "somewhere", "private": true }')
  const tarballs = [await pack('plugins/api', folder), await pack('examples/plugin-minimal', folder)]
  await npm(folder, 'install', '--ignore-scripts', ...tarballs)

  await t.test('passes the kit with its own copy of @postern/plugin', async (t) => {
    const lines: string[] = []
    const summary = await checkPlugin('postern-plugin-minimal', (text) => lines.push(text), folder)
    t.equal(summary.failed, 0, lines.filter((line) => line.startsWith('FAIL')).join(''))
    t.ok(summary.passed > 15)
  })

  await t.test('is loaded by name and by path, and runs a workspace', async (t) => {
    const byPath = await loadPlugin('./node_modules/postern-plugin-minimal', folder)
    t.equal(byPath.name, 'minimal')
    const plugin = await loadPlugin('postern-plugin-minimal', folder)
    const stateDirectory = join(folder, 'state')
    await mkdir(stateDirectory)
    const host: Host = {
      deploymentId: 'd1',
      hostId: 'h1',
      stateDirectory,
      log: silent,
      now: () => Date.now(),
    }
    const runtime = await plugin.open(plugin.config.parse({}), host)
    const call = { signal: AbortSignal.timeout(20_000) }
    const spec = {
      id: 'packed0001',
      name: 'packed',
      generation: 1,
      ports: [{ port: 3000 }],
      env: [],
      command: nodeProbe(process.execPath),
    }
    const { reach } = await runtime.start(spec, call)
    const port = reach.kind === 'ports' ? reach.ports['3000'] : undefined
    const answer = await until(() => fetch(`http://127.0.0.1:${port}/cgi-bin/probe?ready`))
    t.equal(await answer.text(), 'ready')
    await runtime.remove(spec.id, { ...call, keepData: false })
    t.same(await runtime.list(call), [])
    await t.rejects(fetch(`http://127.0.0.1:${port}/`), 'nothing listens there any more')
    await runtime.close()
  })
})
