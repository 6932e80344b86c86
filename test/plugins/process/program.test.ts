/**
 * The story: Postern runs as root, and the program of a workspace lies where only root may go, as root's own Node.js
 * below /root does. Workspaces run as users of their own, so it can never start: that must be said, with the mend.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RuntimeError, type RuntimePlugin, type WorkspaceSpec } from '@postern/plugin'
import plugin from '@postern/plugin-process'
import t from 'tap'
import { testHost } from '../../support/plugins-host.ts'
import { startProduct } from '../../support/product.ts'
import { until } from '../../support/until.ts'

t.setTimeout(120_000)
const isRoot = process.getuid?.() === 0
const rootOnly = { skip: isRoot ? false : 'only root gives workspaces users of their own' }

/** A folder 0700 with the program `tool` in it, below one that everybody may enter. */
async function planted(t: {
  teardown(work: () => unknown): void
}): Promise<{ open: string; closed: string }> {
  const open = await mkdtemp(join(tmpdir(), 'postern-program-'))
  t.teardown(() => rm(open, { recursive: true, force: true }))
  const closed = await mkdtemp(join(open, 'closed-'))
  await writeFile(join(closed, 'tool'), '#!/bin/sh\nexec sleep 300\n', { mode: 0o755 })
  await symlink(join(closed, 'tool'), join(open, 'linked'))
  await writeFile(join(open, 'plain'), 'text', { mode: 0o600 })
  await chmod(open, 0o755)
  return { open, closed }
}

function specOf(command: readonly string[], overrides: Partial<WorkspaceSpec> = {}): WorkspaceSpec {
  const id = randomBytes(8).toString('hex')
  return { id, name: 'w', generation: 1, command, env: [], ports: [], ...overrides }
}

t.test('the runtime names the program, the folder in the way, and the mend', rootOnly, async (t) => {
  const { open, closed } = await planted(t)
  const host = await testHost()
  const path = `${process.env['PATH']}:${closed}`
  const runtime = await (plugin as RuntimePlugin).open((plugin as RuntimePlugin).config.parse({ path }), host)
  const call = { signal: AbortSignal.timeout(60_000) }
  t.teardown(async () => {
    for (const { workspaceId } of await runtime.list(call))
      await runtime.remove(workspaceId, { ...call, keepData: false })
    await host.remove()
  })
  const refused = async (command: readonly string[]): Promise<RuntimeError> => {
    const err: unknown = await runtime.start(specOf(command), call).catch((err: unknown) => err)
    if (!RuntimeError.is(err)) throw new Error(`${command.join(' ')} was not refused`)
    t.equal(err.code, 'ERR_PROGRAM_UNAVAILABLE')
    return err
  }
  for (const program of ['tool', join(closed, 'tool'), join(open, 'linked')]) {
    const err = await refused([program])
    t.ok(err.message.includes(` ${program}: it is ${join(closed, 'tool')}`), err.message)
    t.ok(err.message.includes(`only its owner may enter ${closed}`), err.message)
    t.ok(err.fix?.includes(`chmod o+x ${closed}`))
  }
  t.match((await refused([join(open, 'plain')])).fix, /chmod o\+rx/)
  t.match((await refused(['no-such-program'])).message, /no-such-program is not on this host/)

  const spec = specOf(['tool'])
  await t.rejects(runtime.start(spec, call))
  await chmod(closed, 0o711)
  await runtime.start(spec, call)
  const [running] = (await runtime.list(call)).filter(({ workspaceId }) => workspaceId === spec.id)
  t.equal(running?.state, 'running', 'after the mend the very same start works')
  // A seeded file is there, and nobody may run it.
  const files = [{ path: 'app', content: '#!/bin/sh\nsleep 300\n' }]
  const seeded = await runtime.start(specOf(['./app'], { files }), call).catch((err: unknown) => err)
  t.match(seeded, { code: 'ERR_PROGRAM_UNAVAILABLE', fix: /chmod o\+rx .*app/ })
})

t.test('a person sees a failed workspace that says so, and what to do', rootOnly, async (t) => {
  const { closed } = await planted(t)
  const product = await startProduct(t, { runtime: 'process' })
  const { id } = await product.admin.must<{ id: string }>('POST', '/api/v1/workspaces', {
    name: 'lost',
    command: [join(closed, 'tool')],
  })
  type Seen = {
    phase: string
    reason?: { code: string; message: string; hint: string; nextTryAtMs?: number }
  }
  const see = () => product.admin.must<Seen>('GET', `/api/v1/workspaces/${id}`)
  const failed = await until(async () => ((await see()).phase === 'failed' ? see() : null))
  t.match(failed.reason, { code: 'program_unavailable', hint: /message names/ })
  t.ok(failed.reason?.message.includes(closed) && failed.reason.message.includes('chmod o+x'))
  await chmod(closed, 0o711)
  await until(async () => (await see()).phase === 'running', {
    timeoutMs: 30_000,
    what: 'it to run after the mend',
  })
})
