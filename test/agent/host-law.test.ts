/** What a host's owner gives away holds at the agent, whatever control sends: links, wider names, and everything that must stay. */
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Capabilities, MountSpec, Runtime, WorkspaceSpec } from '@postern/plugin'
import { lawfulSpec, noLaw, offeredBy, type HostLaw } from '../../agent/host-law.ts'

const able: Capabilities = { images: true, gpus: true, mounts: true, hostNetwork: true }
const root = realpathSync(mkdtempSync(join(tmpdir(), 'host-law-')))
t.teardown(() => rmSync(root, { recursive: true, force: true }))
const at = (...parts: string[]): string => join(root, ...parts)
for (const folder of ['data/set', 'database', 'secret/state', 'srv/engine'])
  mkdirSync(at(folder), { recursive: true })
writeFileSync(at('data/file'), 'x')
const socket = createServer().listen(at('srv/engine/docker.sock'))
await once(socket, 'listening')
t.teardown(() => socket.close())

const runtime = { gpus: 1, guarded: [at('srv/engine/docker.sock')] } as unknown as Runtime
const base: WorkspaceSpec = { id: 'abcdefgh', name: 'x', generation: 1, env: [], ports: [] }
const law = (mounts: readonly string[], hostNetwork = false): HostLaw => ({
  mounts,
  hostNetwork,
  guarded: [at('secret/state')],
})
const ask = async (its: HostLaw, mounts: readonly MountSpec[]): Promise<readonly MountSpec[] | string> =>
  lawfulSpec({ ...base, mounts }, its, runtime, offeredBy(able, runtime, its)).then(
    (spec) => spec.mounts ?? [],
    (err: { code: string }) => err.code,
  )
const source = async (its: HostLaw, path: string): Promise<string> => {
  const said = await ask(its, [{ source: path, target: '/data' }])
  return typeof said === 'string' ? said : (said[0]?.source ?? '')
}
const no = 'ERR_UNSUPPORTED'

t.test('nothing is given away by default, and nothing that the runtime can’t', async (t) => {
  t.same(offeredBy(able, runtime, noLaw), { images: true, gpus: 1 })
  t.same(offeredBy({ images: true }, runtime, law(['/srv'], true)), { images: true })
  t.same(
    offeredBy(able, null, law(['/srv'], true)),
    { images: true },
    'before it is open the weakest is told',
  )
  t.same(offeredBy(able, { ...runtime, capabilities: { images: true } }, law(['/srv'], true)), {
    images: true,
  })
  t.same(offeredBy(able, runtime, law(['/srv'], true)), {
    images: true,
    gpus: 1,
    mounts: ['/srv'],
    hostNetwork: true,
  })
  const refuses = (spec: Partial<WorkspaceSpec>): Promise<unknown> =>
    t.rejects(lawfulSpec({ ...base, ...spec }, noLaw, runtime, offeredBy(able, runtime, noLaw)), { code: no })
  await refuses({ hostNetwork: true })
  await refuses({ gpus: 2 })
  await refuses({ mounts: [{ source: at('data'), target: '/data' }] })
  t.same(await lawfulSpec(base, noLaw, runtime, {}), base)
})

t.test('a source is what it leads to', async (t) => {
  const its = law([at('data')])
  t.equal(await source(its, at('data')), at('data'))
  t.equal(await source(its, at('data/set')), at('data/set'))
  t.equal(await source(its, at('data/file')), at('data/file'))
  t.equal(await source(its, at('data/none')), 'ERR_INVALID_SPEC')
  for (const path of [
    at('database'),
    root,
    '/',
    '/etc',
    `${at('data')}/../database`,
    'data',
    `/proc/self/root${at('data')}`,
  ])
    t.equal(await source(its, path), no, path)
  const targets = {
    out: at('database'),
    up: '..',
    etc: '/etc',
    root: '/',
    shadow: '/etc/shadow',
    proc: '/proc/self/root',
  }
  for (const [name, target] of Object.entries(targets)) {
    symlinkSync(target, at('data', name))
    t.equal(await source(its, at('data', name)), no, name)
  }
  symlinkSync(at('data/set'), at('data/inside'))
  t.equal(await source(its, at('data/inside')), at('data/set'), 'a link that stays inside is its end')
  t.equal(
    await ask(its, [
      { source: at('data'), target: '/a' },
      { source: '/etc', target: '/b' },
    ]),
    no,
    'one bad is all bad',
  )
})

t.test('what must stay, stays, unless it is named itself', async (t) => {
  const wide = law([root, '/etc', '/var', '/run', '/proc', '/sys', '/dev', '/home'])
  t.equal(await source(wide, at('data')), at('data'))
  for (const path of [
    root,
    at('secret'),
    at('secret/state'),
    at('srv'),
    at('srv/engine'),
    at('srv/engine/docker.sock'),
  ])
    t.equal(await source(wide, path), no, path)
  for (const path of [
    '/etc/passwd',
    '/etc/ssl',
    '/var',
    '/var/run',
    '/var/lib',
    '/run/lock',
    '/proc/1',
    '/proc/self/root',
    '/sys/fs',
    '/dev/shm',
    '/dev/null',
  ])
    t.match(await source(wide, path), /^ERR_(UNSUPPORTED|INVALID_SPEC)$/, path)
  t.equal(await source(wide, '/etc'), '/etc', 'named itself')
  t.equal(
    await source(law([at('srv/engine/docker.sock')]), at('srv/engine/docker.sock')),
    at('srv/engine/docker.sock'),
  )
  t.equal(await source(law([at('secret')]), at('secret')), no, 'what holds it is not it')
  t.equal(await source(law(['/']), '/'), no)
})

t.test('a name that has become a link is no name any more', async (t) => {
  mkdirSync(at('outer/named'), { recursive: true })
  const its = law([at('outer'), at('outer/named')])
  t.equal(await source(its, at('outer/named')), at('outer/named'))
  // As a workspace can that writes to the outer one.
  renameSync(at('outer/named'), at('outer/old'))
  symlinkSync('/etc', at('outer/named'))
  t.equal(await source(its, at('outer/named')), no)
  t.equal(await source(law([at('outer/named')]), at('outer/named')), no)
})
