/** A disk of a size on the process runtime: the byte beyond is refused by the kernel, and every crash comes to the same end. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Runtime, RuntimePlugin, WorkspaceSpec } from '@postern/plugin'
import plugin from '@postern/plugin-process'
import t, { type Test } from 'tap'
import { clearDisks, diskMounts } from '../../support/disk-mounts.ts'
import { testHost } from '../../support/plugins-host.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 ** 2
t.setTimeout(300_000)

const open = (host: Awaited<ReturnType<typeof testHost>>): Promise<Runtime> =>
  (plugin as RuntimePlugin).open(plugin.config.parse({}), host)

/** Why this machine can't hold disks; null: it can. */
async function lack(): Promise<string | null> {
  const host = await testHost()
  try {
    const said: unknown[] = []
    const log = { ...host.log, info: (...words: unknown[]) => void said.push(words) }
    const runtime = await open({ ...host, log })
    await runtime.close()
    return runtime.capabilities?.limits?.disk === undefined && said.length > 0 ? JSON.stringify(said) : null
  } finally {
    await host.remove()
  }
}

const why = await lack()
const skip = why !== null && `this machine holds no disks: ${why}`

/** Unmounts what a failed test has left, so that no loop device leaks; then takes the host away. */
async function opened(t: Test) {
  const host = await testHost()
  const runtime = await open(host)
  const call = { signal: AbortSignal.timeout(120_000) }
  const directory = join(host.stateDirectory, 'workspaces')
  t.teardown(async () => {
    const last = await open(host)
    for (const { workspaceId } of await last.list(call))
      await last.remove(workspaceId, { ...call, keepData: false }).catch(() => undefined)
    const left = clearDisks(host.stateDirectory)
    await host.remove()
    assert.deepEqual(left, [], 'nothing stays mounted or attached')
  })
  const inside = (id: string, name: string): string => join(directory, id, name)
  return { host, runtime, call, inside }
}

const sh = (script: string): string[] => ['/bin/sh', '-c', script]
const specOf = (script: string, over: Partial<WorkspaceSpec> = {}): WorkspaceSpec => {
  const id = randomBytes(8).toString('hex')
  return { id, name: 'w', generation: 1, command: sh(script), env: [], ports: [], ...over }
}

/** Runs a script as the workspace's next generation, to its end, and gives back its exit code. */
async function runIn(
  { runtime, call }: Pick<Awaited<ReturnType<typeof opened>>, 'runtime' | 'call'>,
  spec: WorkspaceSpec,
): Promise<number | null | undefined> {
  await runtime.start(spec, call)
  return until(
    async () => {
      const found = (await runtime.list(call)).find(({ workspaceId }) => workspaceId === spec.id)
      return found?.exit
    },
    { timeoutMs: 60_000 },
  ).then(({ code }) => code)
}

const again = async (
  { runtime, call }: Pick<Awaited<ReturnType<typeof opened>>, 'runtime' | 'call'>,
  spec: WorkspaceSpec,
  script: string,
  over: Partial<WorkspaceSpec> = {},
): Promise<WorkspaceSpec> => {
  await runtime.remove(spec.id, { ...call, keepData: true })
  return { ...spec, generation: spec.generation + 1, command: sh(script), ...over }
}

t.test('the byte beyond is refused inside, what was there before is safe', { skip }, async (t) => {
  const world = await opened(t)
  const { runtime, call, inside } = world
  t.match(runtime.capabilities ?? plugin.capabilities, { limits: { disk: true }, growsDisk: true })
  const fill =
    'cd "$HOME" && echo kept > kept && dd if=/dev/zero of=big bs=1M count=40 2>err; code=$?; sync; '
  let spec = specOf(`${fill} grep -qi "no space" err; echo "$code $?" > said; test $code = 1`, {
    diskBytes: 24 * MIB + 512,
  })
  const other = specOf('echo free > "$HOME/free"; exec sleep 300', { diskBytes: 16 * MIB })
  await runtime.start(other, call)
  t.equal(await runIn(world, spec), 0, 'dd hears that there is no space')
  const home = inside(spec.id, 'home')
  t.ok(statSync(join(home, 'big')).size < 24 * MIB + 512)
  t.equal(readFileSync(join(home, 'kept'), 'utf8'), 'kept\n')
  t.notOk(existsSync(join(home, 'lost+found')))
  const options = execFileSync('findmnt', ['-no', 'OPTIONS', home], { encoding: 'utf8' })
  t.match(options, /nosuid/)
  t.match(options, /nodev/)
  const image = statSync(inside(spec.id, 'home.img'))
  t.equal(image.size, 24 * MIB + 512)
  t.ok(image.blocks * 512 >= 24 * MIB + 512, 'all of it is set aside on the host')
  t.equal(image.mode & 0o077, 0)
  await until(() => existsSync(join(inside(other.id, 'home'), 'free')))
  const sizes = new Map((await runtime.list(call)).map((one) => [one.workspaceId, one.diskBytes]))
  t.same([sizes.get(spec.id), sizes.get(other.id)], [24 * MIB + 512, 16 * MIB], 'list says what each has')

  spec = await again(world, spec, 'cd "$HOME" && grep -q kept kept && rm big && echo more > more')
  t.same(diskMounts(inside(spec.id, '')), [], 'what is retained is not mounted')
  t.same(await readdir(home), [])
  t.equal(await runIn(world, spec), 0, 'the data is there again, and there is room')

  spec = await again(world, spec, 'cd "$HOME" && cat kept more && dd if=/dev/zero of=big bs=1M count=40', {
    diskBytes: 64 * MIB,
  })
  t.equal(await runIn(world, spec), 0, 'a larger one has room for what did not fit')
  t.equal(statSync(join(home, 'big')).size, 40 * MIB)

  spec = await again(world, spec, 'true', { diskBytes: 32 * MIB })
  await t.rejects(runtime.start(spec, call), { code: 'ERR_INVALID_SPEC', message: /67108864 bytes/ })
  spec = await again(world, spec, 'test -s "$HOME/big"', { diskBytes: 64 * MIB })
  t.equal(await runIn(world, spec), 0, 'and nothing was lost by that')
  const { diskBytes: _, ...plain } = await again(world, spec, 'test -s "$HOME/big"')
  t.equal(await runIn(world, plain), 0, 'a spec without a size gets the disk that is there')

  await runtime.remove(spec.id, { ...call, keepData: false })
  t.notOk(existsSync(inside(spec.id, '')))
  t.same(diskMounts(inside(spec.id, '')), [])
})

t.test('what cannot be had is refused with a code, and leaves all as it was', { skip }, async (t) => {
  const world = await opened(t)
  const { runtime, call, inside, host } = world
  await t.rejects(runtime.start(specOf('true', { diskBytes: 4096 }), call), { code: 'ERR_INVALID_SPEC' })
  const huge = specOf('true', { diskBytes: 2 ** 52 })
  await t.rejects(runtime.start(huge, call), { code: 'ERR_NO_CAPACITY', fix: /room/ })
  t.same(
    (await readdir(inside(huge.id, ''))).filter((name) => name.startsWith('home.img')),
    [],
  )
  let spec = specOf('echo old > "$HOME/old"')
  t.equal(await runIn(world, spec), 0)
  spec = await again(world, spec, 'true', { diskBytes: 16 * MIB })
  await t.rejects(runtime.start(spec, call), { code: 'ERR_INVALID_SPEC', message: /without a size/ })
  t.equal(readFileSync(join(inside(spec.id, 'home'), 'old'), 'utf8'), 'old\n')

  let grown = specOf('echo old > "$HOME/old"', { diskBytes: 16 * MIB })
  t.equal(await runIn(world, grown), 0)
  grown = await again(world, grown, 'true', { diskBytes: 2 ** 52 })
  await t.rejects(runtime.start(grown, call), { code: 'ERR_NO_CAPACITY' })
  grown = await again(world, grown, 'cat "$HOME/old"', { diskBytes: 16 * MIB })
  t.equal(await runIn(world, grown), 0, 'a growth that had no room can be taken back')

  // Somebody sits in the disk of a workspace that is to go.
  const home = inside(grown.id, 'home')
  const shell = spawn('sleep', ['300'], { cwd: home, stdio: 'ignore' })
  t.teardown(() => shell.kill('SIGKILL'))
  await t.rejects(runtime.remove(grown.id, { ...call, keepData: false }), {
    code: 'ERR_CONFLICT',
    fix: /fuser/,
  })
  t.ok(existsSync(join(home, 'old')), 'its data is not taken away under them')
  shell.kill('SIGKILL')
  await runtime.remove(grown.id, { ...call, keepData: false })

  // A mount that isn't ours stays.
  const covered = specOf('true', { diskBytes: 16 * MIB })
  t.equal(await runIn(world, covered), 0)
  await runtime.remove(covered.id, { ...call, keepData: true })
  execFileSync('mount', ['-t', 'tmpfs', 'foreign', inside(covered.id, 'home')])
  try {
    await writeFile(join(inside(covered.id, 'home'), 'theirs'), '')
    await t.rejects(runtime.start(covered, call), { code: 'ERR_CONFLICT', message: /not ours/ })
    await t.rejects(runtime.remove(covered.id, { ...call, keepData: false }), { code: 'ERR_CONFLICT' })
    t.ok(existsSync(join(inside(covered.id, 'home'), 'theirs')))
  } finally {
    execFileSync('umount', [inside(covered.id, 'home')])
  }
  t.notOk(host.stateDirectory.includes('..'))
})

t.test('after a crash between any two steps a start comes to the same end', { skip }, async (t) => {
  const world = await opened(t)
  const { host, call, inside } = world
  const script = 'cd "$HOME" && { cat kept 2>/dev/null; touch mine; echo kept > kept; }'
  const crashes: Record<string, (id: string) => Promise<void> | void> = {
    'nothing was made': () => undefined,
    'half an image': async (id) => writeFile(inside(id, 'home.img.1.new'), 'torn'),
    'an image, and no mount': (id) => void execFileSync('umount', [inside(id, 'home')]),
    'a link where the draft goes': async (id) => symlink('/etc/passwd', inside(id, 'home.img.1.new')),
    'a device, and no mount': (id) => {
      execFileSync('umount', [inside(id, 'home')])
      execFileSync('losetup', ['-f', inside(id, 'home.img')])
    },
    'a mount that is not owned yet': (id) => void execFileSync('chown', ['0:0', inside(id, 'home')]),
    'a length without what is in it': async (id) => {
      execFileSync('umount', [inside(id, 'home')])
      execFileSync('truncate', ['-s', '40M', inside(id, 'home.img')])
      await writeFile(inside(id, 'home.img.growing'), '')
    },
  }
  const passwd = readFileSync('/etc/passwd', 'latin1')
  for (const [name, crash] of Object.entries(crashes)) {
    const isNew = name === 'nothing was made' || name === 'half an image' || name.startsWith('a link')
    let spec = specOf(script, { diskBytes: 24 * MIB + 512 })
    if (isNew) await mkdir(inside(spec.id, ''), { recursive: true })
    else t.equal(await runIn(world, spec), 0)
    await crash(spec.id)
    // A new runtime, as after a restart of the agent, asked twice at once.
    const runtime = await open(host)
    spec = { ...spec, generation: 2, command: sh('cd "$HOME" && touch again && exec sleep 300') }
    if (!isNew) await runtime.remove(spec.id, { ...call, keepData: true })
    if (name.startsWith('a length')) spec = { ...spec, diskBytes: 40 * MIB }
    const [one, two] = await Promise.all([runtime.start(spec, call), runtime.start(spec, call)])
    t.equal(one.incarnation, two.incarnation, name)
    const home = inside(spec.id, 'home')
    await until(() => existsSync(join(home, 'again')))
    t.equal(diskMounts(inside(spec.id, '')).length, 1, `${name}: mounted once`)
    if (!isNew) t.ok(existsSync(join(home, 'mine')), `${name}: the data is there`)
    t.notOk(existsSync(inside(spec.id, 'home.img.growing')))
    const { size } = statSync(inside(spec.id, 'home.img'))
    t.equal(size, spec.diskBytes)
    t.equal(statSync(home).uid === 0, false, `${name}: it is the workspace’s own`)
    await runtime.remove(spec.id, { ...call, keepData: false })
    t.notOk(existsSync(inside(spec.id, '')), name)
  }
  t.equal(readFileSync('/etc/passwd', 'latin1'), passwd)
  // The machine was started anew: mounts are gone, programs too.
  const spec = specOf('cd "$HOME" && cat kept; echo kept > kept; exec sleep 300', {
    diskBytes: 24 * MIB + 512,
  })
  await world.runtime.start(spec, call)
  await until(() => existsSync(join(inside(spec.id, 'home'), 'kept')))
  await world.runtime.stop(spec.id, { ...call, graceMs: 0 })
  await until(() => {
    try {
      execFileSync('umount', [inside(spec.id, 'home')], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
  const later = await open(host)
  await later.start(spec, call)
  t.ok(existsSync(join(inside(spec.id, 'home'), 'kept')), 'it is mounted again')
})

t.test(
  'a mount namespace of its own, as systemd makes: one file system, and the last one lets go',
  { skip },
  async (t) => {
    const world = await opened(t)
    const { runtime, call, inside } = world
    const spec = specOf('echo kept > "$HOME/kept"; exec sleep 300', { diskBytes: 16 * MIB })
    await runtime.start(spec, call)
    const home = inside(spec.id, 'home')
    await until(() => existsSync(join(home, 'kept')))
    const other = spawn('unshare', ['--mount', '--propagation', 'private', 'sleep', '300'], {
      stdio: 'ignore',
    })
    t.teardown(() => other.kill('SIGKILL'))
    const namespaceOf = (pid: string): string => readlinkSync(`/proc/${pid}/ns/mnt`)
    await until(() => namespaceOf(String(other.pid)) !== namespaceOf('self'))
    const theirs = join(`/proc/${other.pid}/root`, home)
    await until(() => existsSync(join(theirs, 'kept')))
    await t.rejects(runtime.remove(spec.id, { ...call, keepData: true }), { code: 'ERR_CONFLICT' })
    t.same(diskMounts(inside(spec.id, '')), [], 'it is mounted only there')
    await runtime.start(spec, call)
    await writeFile(join(home, 'here'), 'seen')
    t.equal(readFileSync(join(theirs, 'here'), 'utf8'), 'seen', 'both see one file system')
    other.kill('SIGKILL')
    await runtime.remove(spec.id, { ...call, keepData: false })
    t.notOk(existsSync(inside(spec.id, '')))
  },
)

t.test('who is not root holds none, and says so', async (t) => {
  const host = await testHost()
  t.teardown(() => host.remove())
  t.capture(process as { getuid(): number }, 'getuid', () => 1000)
  const runtime = await open(host)
  t.same(runtime.capabilities?.limits, {})
  t.equal(runtime.capabilities?.growsDisk, false)
  const call = { signal: AbortSignal.timeout(30_000) }
  const spec = specOf('true', { diskBytes: 64 * MIB })
  await t.rejects(runtime.start(spec, call), { code: 'ERR_UNSUPPORTED', fix: /root/ })
  t.same(await runtime.list(call), [])
  await rm(join(host.stateDirectory, basename(spec.id)), { force: true })
})
