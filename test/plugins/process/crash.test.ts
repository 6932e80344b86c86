/**
 * The story: Postern is killed, at any moment of a start, a stop or a removal. Whoever comes next finds one program
 * or none, never two, and a removal leaves nothing.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Host, WorkspaceSpec } from '@postern/plugin'
import plugin from '@postern/plugin-process'
import { conformance } from '@postern/plugin-process/conformance'
import t from 'tap'
import { clearDisks } from '../../support/disk-mounts.ts'
import { silent, testHost } from '../../support/plugins-host.ts'
import { until } from '../../support/until.ts'

const STEP_MS = 9
const POINTS = 10

if (process.env['POSTERN_TEST_CRASH'] !== undefined) {
  await act(process.env['POSTERN_TEST_CRASH'])
} else {
  t.setTimeout(240_000)
  for (const verb of ['start', 'stop', 'remove'] as const)
    t.test(`killed at any moment of a ${verb}`, async (t) => {
      const points = Array.from({ length: POINTS }, (_, index) => index * STEP_MS)
      // A few at once: each is mostly waiting.
      const worker = async (): Promise<void> => {
        for (let at = points.shift(); at !== undefined; at = points.shift()) await killAt(t, verb, at)
      }
      await Promise.all(Array.from({ length: 4 }, worker))
    })
}

/** The child: opens a runtime on the same host, says that it begins, and does the verb. */
async function act(text: string): Promise<void> {
  const { verb, spec, ids } = JSON.parse(text) as { verb: string; spec: WorkspaceSpec; ids: Partial<Host> }
  const host = { ...ids, log: silent, now: () => Date.now() } as Host
  const runtime = await plugin.open(plugin.config.parse({}), host)
  const call = { signal: AbortSignal.timeout(20_000) }
  process.stdout.write('begin\n')
  if (verb === 'start') await runtime.start(spec, call)
  if (verb === 'stop') await runtime.stop(spec.id, { ...call, graceMs: 5_000 })
  if (verb === 'remove') await runtime.remove(spec.id, { ...call, keepData: false })
  process.stdout.write('done\n')
  setInterval(() => undefined, 1_000)
}

async function killAt(t: Tap, verb: string, delayMs: number): Promise<void> {
  const host = await testHost()
  const { deploymentId, hostId, stateDirectory } = host
  const word = `crash${randomBytes(6).toString('hex')}`
  const spec: WorkspaceSpec & { diskBytes?: number } = {
    ...{ id: randomBytes(8).toString('hex'), name: 'w', generation: 1, env: [], ports: [{ port: 80 }] },
    command: ['/bin/sh', '-c', `sleep 300; : ${word}`],
    files: [{ path: 'a', content: 'x' }],
  }
  const call = { signal: AbortSignal.timeout(30_000) }
  const runtime = await plugin.open(plugin.config.parse({}), host)
  // Every second one has a disk of its own, where this machine can hold one.
  const holdsDisks = (runtime.capabilities ?? plugin.capabilities).limits?.disk === true
  if (delayMs % (2 * STEP_MS) === 0 && holdsDisks) spec.diskBytes = 16 * 1024 ** 2
  if (verb !== 'start') await runtime.start(spec, call)
  const ids = { deploymentId, hostId, stateDirectory }
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
    env: { ...process.env, POSTERN_TEST_CRASH: JSON.stringify({ verb, spec, ids }) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  await new Promise((resolve) => setTimeout(resolve, delayMs))
  child.kill('SIGKILL')
  await once(child, 'close')

  const where = `${verb}, killed after ${delayMs} ms`
  const listed = await runtime.list(call)
  t.ok(listed.length <= 1, `${where}: at most one is listed`)
  await runtime.start(spec, call)
  await until(() => programs(word) > 0, { what: `${where}: a program` })
  t.equal(programs(word), 1, `${where}: one program runs after the next start`)
  await runtime.stop(spec.id, { ...call, graceMs: 2_000 })
  t.equal(programs(word), 0, `${where}: none after the next stop`)
  await runtime.remove(spec.id, { ...call, keepData: false })
  t.same(await conformance.leftovers?.(host), [], `${where}: nothing is left after the next removal`)
  t.same(clearDisks(stateDirectory), [], `${where}: nothing stays mounted`)
  await runtime.close()
  await host.remove()
}

type Tap = {
  ok(value: unknown, name: string): void
  equal(a: unknown, b: unknown, name: string): void
  same(a: unknown, b: unknown, name: string): void
}

/**
 * How many shells run the program itself: those whose script is the word's, led by a wrapper of ours. A shell that has
 * forked and not yet become `sleep` still looks like its parent, so children of a found one don't count.
 */
function programs(word: string): number {
  const parents = new Map<string, string>()
  for (const pid of readdirSync('/proc')) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const [state = '', parent = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')
      const isProgram = words[1] === '-c' && words[2]?.includes(word) === true
      if (isProgram && !/[ZX]/.test(state)) parents.set(pid, parent)
    } catch {
      // Not a process, or one that ended meanwhile.
    }
  }
  return [...parents.values()].filter((parent) => !parents.has(parent)).length
}
