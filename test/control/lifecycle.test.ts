/** The pure rooms: what an owner wants, the phase that people see, where it goes, what is allowed. */
import fc from 'fast-check'
import t from 'tap'
import { advance } from '../../control/lifecycle/lifecycle.ts'
import type { Command, Wish } from '../../control/lifecycle/lifecycle.ts'
import { Ledger } from '../../control/placement/quotas.ts'
import { boundsProblems, limitsOf } from '../../control/placement/limits.ts'
import { deriveAppearance } from '../../control/lifecycle/phase.ts'
import type { Evidence } from '../../control/lifecycle/phase.ts'
import { place } from '../../control/placement/placement.ts'
import type { Candidate } from '../../control/placement/placement.ts'
import { beyondNothing, beyondUnsaid, lacking, resolve, runtimeSpec } from '../../control/lifecycle/spec.ts'
import type { StoredSpec, Template } from '../../control/lifecycle/spec.ts'
import type { Host } from '../../control/store/hosts.ts'
import { filledPort, phases } from '../../control/wire/index.ts'
import type { Status } from '../../control/wire/index.ts'
import { roomy } from '../support/control-server.ts'

const commands: readonly Command[] = ['start', 'stop', 'restart', 'delete', 'purge', 'restore', 'patch']
const fresh: Wish = { want: 'running', data: 'keep', generation: 1, wantedAtMs: 0, purgeAtMs: null }
const given = { phase: 'running', now: 1000, trashMs: 50 } as const

const anyPhase = fc.constantFrom(...phases)
const anyCommand = fc.constantFrom(...commands)
const reachable = fc.array(anyCommand, { maxLength: 8 }).map((sequence) =>
  sequence.reduce((wish, command) => {
    const outcome = advance(wish, command, given)
    return outcome.kind === 'next' ? outcome.wish : wish
  }, fresh),
)
const isPurging = (wish: Wish): boolean => wish.want === 'removed' && wish.data === 'delete'

await t.test('start, stop, restart and delete are accepted in every phase', async () => {
  fc.assert(
    fc.property(reachable, anyPhase, anyCommand, (wish, phase, command) => {
      const outcome = advance(wish, command, { ...given, phase })
      if (isPurging(wish)) return outcome.kind === 'refused' || outcome.wish === wish
      return outcome.kind === 'next'
    }),
  )
})

await t.test('each command reaches what it says, from anywhere', async (t) => {
  const goals: Record<string, (wish: Wish) => boolean> = {
    start: ({ want }) => want === 'running',
    restart: ({ want }) => want === 'running',
    stop: ({ want }) => want !== 'running',
    delete: ({ want }) => want === 'removed',
    purge: (wish) => isPurging(wish),
    restore: ({ want }) => want !== 'removed',
  }
  for (const [command, goal] of Object.entries(goals))
    fc.assert(
      fc.property(reachable, anyPhase, (wish, phase) => {
        fc.pre(!isPurging(wish))
        const outcome = advance(wish, command as Command, { ...given, phase })
        return outcome.kind === 'next' && goal(outcome.wish)
      }),
    )
  t.pass()
})

await t.test('nothing but purge deletes data, and there is no way back', async (t) => {
  fc.assert(
    fc.property(reachable, anyPhase, anyCommand, (wish, phase, command) => {
      const outcome = advance(wish, command, { ...given, phase })
      const after = outcome.kind === 'next' ? outcome.wish : wish
      if (command === 'purge' || isPurging(wish)) return isPurging(after)
      return after.data === 'keep'
    }),
  )
  t.match(advance({ ...fresh, want: 'removed', data: 'delete' }, 'start', given), {
    kind: 'refused',
    code: 'not_trashed',
  })
})

await t.test('a generation never shrinks, and repeating changes nothing more', async (t) => {
  fc.assert(
    fc.property(reachable, anyPhase, anyCommand, (wish, phase, command) => {
      const outcome = advance(wish, command, { ...given, phase })
      if (outcome.kind === 'refused') return true
      if (outcome.wish.generation < wish.generation) return false
      if (command === 'restart' || command === 'patch') return outcome.wish.generation === wish.generation + 1
      const again = advance(outcome.wish, command, { ...given, phase: 'pending' })
      return again.kind === 'next' && again.event === null && again.wish === outcome.wish
    }),
  )
  t.match(
    advance(fresh, 'start', { ...given, phase: 'failed' }),
    { wish: { generation: 2 } },
    'tried at once',
  )
})

await t.test('the trash keeps for its time', async (t) => {
  t.match(advance(fresh, 'delete', given), { wish: { want: 'removed', data: 'keep', purgeAtMs: 1050 } })
  t.match(advance({ ...fresh, want: 'removed', purgeAtMs: 7 }, 'delete', given), { wish: { purgeAtMs: 7 } })
  t.match(advance({ ...fresh, want: 'removed', purgeAtMs: 7 }, 'restore', given), {
    wish: { purgeAtMs: null },
  })
})

const status = (state: Status['state'], over: Partial<Status> = {}): Status => ({
  id: 'aaaaaaaa',
  state,
  generation: 1,
  incarnation: 'i',
  reach: { kind: 'none' },
  ...over,
})
const evidence = (over: Partial<Evidence>): Evidence => ({
  want: 'running',
  data: 'keep',
  admitted: true,
  generation: 1,
  host: { connected: true, name: 'h' },
  status: null,
  fresh: true,
  lacks: null,
  waiting: null,
  ...over,
})

await t.test('the phase follows from wish and status', async (t) => {
  const reason = { code: 'oom', message: 'too much', atMs: 1, nextTryAtMs: 9 } as const
  const rows: [string, Partial<Evidence>, string, string][] = [
    ['nowhere yet', { host: null, waiting: 'none fits' }, 'pending', 'waiting_for_host'],
    ['placed', {}, 'pending', 'placed'],
    ['pulling', { status: status('pulling') }, 'pulling', 'pulling'],
    ['starting', { status: status('starting') }, 'starting', 'starting'],
    ['running', { status: status('running') }, 'running', 'running'],
    ['running an older generation', { status: status('running'), generation: 2 }, 'starting', 'spec_changed'],
    ['failed', { status: status('failed', { reason }) }, 'failed', 'oom'],
    [
      'said before the last change',
      { status: status('failed', { reason }), fresh: false },
      'starting',
      'starting',
    ],
    ['ended by itself', { status: status('stopped', { reason }) }, 'failed', 'oom'],
    ['gone, not yet seen to', { status: status('retained') }, 'starting', 'starting'],
    ['no place', { admitted: false }, 'pending', 'cap_reached'],
    ['no place any more', { admitted: false, status: status('running') }, 'stopping', 'cap_reached'],
    ['the runtime changed', { lacks: 'no images' }, 'failed', 'unsupported'],
    ['stopped before it began', { want: 'stopped', host: null }, 'stopped', 'requested'],
    ['stopping', { want: 'stopped', status: status('running') }, 'stopping', 'requested'],
    ['stopped', { want: 'stopped', status: status('stopped') }, 'stopped', 'requested'],
    ['never started, then stopped', { want: 'stopped', status: status('absent') }, 'stopped', 'requested'],
    ['on its way to the trash', { want: 'removed', status: status('running') }, 'removing', 'trashed'],
    ['in the trash', { want: 'removed', status: status('retained') }, 'trashed', 'trashed'],
    [
      'retained, said before',
      { want: 'removed', status: status('retained'), fresh: false },
      'removing',
      'trashed',
    ],
    ['purged', { want: 'removed', data: 'delete', status: status('retained') }, 'removing', 'purged'],
    ['away', { host: { connected: false, name: 'h' }, status: status('running') }, 'running', 'host_away'],
  ]
  for (const [name, over, phase, code] of rows)
    t.match(deriveAppearance(evidence(over)), { phase, code }, name)
  t.equal(deriveAppearance(evidence({ status: status('failed', { reason }) })).nextTryAtMs, 9)
})

const anyStatus = fc.option(
  fc.record({
    state: fc.constantFrom(
      'absent',
      'retained',
      'pulling',
      'starting',
      'running',
      'stopping',
      'stopped',
      'failed',
    ),
    generation: fc.integer({ min: 0, max: 3 }),
  }),
  { nil: null },
)

await t.test('there is a phase for everything, and running means running', async (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom('running', 'stopped', 'removed'),
      fc.boolean(),
      fc.boolean(),
      anyStatus,
      fc.boolean(),
      (want, admitted, connected, said, isFresh) => {
        const known =
          said === null ? null : status(said.state as Status['state'], { generation: said.generation })
        const appearance = deriveAppearance(
          evidence({
            want: want as Evidence['want'],
            admitted,
            generation: 2,
            host: { connected, name: 'h' },
            status: known,
            fresh: isFresh,
          }),
        )
        const runs =
          want === 'running' && admitted && isFresh && known?.state === 'running' && known.generation === 2
        return phases.includes(appearance.phase) && (appearance.phase === 'running') === runs
      },
    ),
  )
  t.pass()
})

const both = {
  ...beyondNothing,
  diskBytes: null,
  container: { image: 'i', command: null },
  host: { command: ['x'], files: [] },
  lacks: null,
}
const candidate = (id: string, over: Partial<Candidate> = {}): Candidate => ({
  id,
  name: id,
  connected: true,
  healthy: true,
  capabilities: { images: true },
  workspaces: 0,
  open: true,
  ...over,
})

await t.test('a workspace goes to the emptiest healthy host that can, and stays', async (t) => {
  const at = (hosts: Candidate[], hostId: string | null = null) => place({ hostId, resolved: both }, hosts)
  t.same(at([candidate('a', { workspaces: 2 }), candidate('b', { workspaces: 1 })]), {
    kind: 'placed',
    hostId: 'b',
  })
  t.same(at([candidate('a', { healthy: false }), candidate('b', { workspaces: 9 })]), {
    kind: 'placed',
    hostId: 'b',
  })
  const cards = (gpus: number, gpusTaken = 0) => ({ capabilities: { images: true, gpus }, gpusTaken })
  const withGpus = (gpus: number, ...hosts: Candidate[]) =>
    place({ hostId: null, resolved: { ...both, gpus } }, hosts)
  const full = candidate('a', cards(1, 1))
  t.match(withGpus(1, full, candidate('b', { ...cards(1), workspaces: 9 })), { hostId: 'b' }, 'free GPUs')
  t.match(withGpus(2, candidate('a', cards(4, 3)), candidate('b', cards(2))), { hostId: 'b' })
  t.match(withGpus(1, full), { hostId: 'a' }, 'there it waits until one is free')
  t.match(withGpus(0, full, candidate('b', { ...cards(1), workspaces: 9 })), { hostId: 'a' }, 'asks for none')
  t.same(at([candidate('b')], 'gone'), { kind: 'placed', hostId: 'gone' }, 'its data is there')
  t.same(at([]), { kind: 'waiting', why: 'No host has joined yet.' })
  t.same(at([candidate('a', { connected: false })]), { kind: 'waiting', why: 'a: does not report.' })
  const imageOnly = { ...both, host: null, lacks: 'needs an engine' }
  t.same(place({ hostId: null, resolved: imageOnly }, [candidate('p', { capabilities: {} })]), {
    kind: 'waiting',
    why: 'p: needs an engine',
  })
})

const asked: StoredSpec = {
  template: null,
  image: null,
  cpu: null,
  memoryBytes: null,
  pids: null,
  env: [],
  command: null,
  ports: null,
  paths: null,
  ...beyondUnsaid,
}
const template: Template = {
  name: 'web',
  title: 'Web',
  summary: '',
  defaultPort: 3000,
  ports: [filledPort({ port: 3000, name: 'web' })],
  paths: [],
  cpu: 2,
  memoryBytes: null,
  pids: null,
  diskBytes: null,
  ...beyondNothing,
  container: { image: 'postern/web:1', command: ['in', 'image'] },
  host: { command: ['on', 'host'], files: [{ path: 'a.js', content: '1' }] },
  lacks: null,
}
const defaults = { cpu: 1, memoryBytes: 100, pids: 10 }

await t.test('a spec is filled in from template and defaults, for either kind of host', async (t) => {
  const resolved = resolve(asked, template, defaults)
  t.match(resolved, { cpu: 2, memoryBytes: 100, pids: 10, defaultPort: 3000 })
  const workspace = { id: 'aaaaaaaa', name: 'one', programGeneration: 4, resolved }
  const env = [{ name: 'A', value: '1' }]
  t.same(runtimeSpec(workspace, env, { images: true, limits: { cpu: true } }), {
    id: 'aaaaaaaa',
    name: 'one',
    generation: 4,
    image: 'postern/web:1',
    command: ['in', 'image'],
    env,
    ports: [{ port: 3000, name: 'web' }],
    cpuMillis: 2000,
  })
  t.same(runtimeSpec(workspace, env, { limits: { memory: true, pids: true } }), {
    id: 'aaaaaaaa',
    name: 'one',
    generation: 4,
    command: ['on', 'host'],
    env,
    ports: [{ port: 3000, name: 'web' }],
    files: [{ path: 'a.js', content: '1' }],
    memoryBytes: 100,
    pids: 10,
  })
  t.match(resolve({ ...asked, command: ['mine'] }, template, defaults), {
    container: { image: 'postern/web:1', command: ['mine'] },
    host: { command: ['mine'] },
  })
  const other = resolve({ ...asked, image: 'debian' }, template, defaults)
  t.same(other.container, { image: 'debian', command: null }, 'its own command, not that of another image')
  t.equal(other.host, null)
  t.match(lacking(other, {}), { path: 'image', message: /image/i })
  const moved = resolve(
    { ...asked, ports: [filledPort({ port: 5000, visibility: 'public' })] },
    template,
    defaults,
  )
  t.equal(moved.defaultPort, 5000)
})

const offers = (over: Partial<Host['capabilities']>, connected = true) =>
  ({ id: 'h', runtime: 'fake', connected, capabilities: over }) as Host
const none = new Ledger(roomy, {
  held: [],
  quotas: [],
  memberships: [],
  holds: { cpu: true, memory: true, disk: true },
})

await t.test('limits are what can be held, and nobody is offered more', async (t) => {
  const member = { id: 'u', administrator: false, groups: [] }
  const open = { maxVisibility: 'public' } as const
  const held = limitsOf(roomy, [offers({ isolation: true, limits: { cpu: true } })], none, member, open)
  t.match(held, { cpu: { max: 4 }, mayCreate: true, isolation: true, images: false })
  t.notOk('memoryBytes' in held)
  t.equal(limitsOf(roomy, [offers({})], none, member, open).mayCreate, false)
  t.match(limitsOf(roomy, [offers({})], none, member, open).refusal, /kept apart/)
  t.equal(limitsOf(roomy, [offers({ workspaceUsers: true })], none, member, open).mayCreate, true)
  t.equal(limitsOf(roomy, [offers({})], none, { ...member, administrator: true }, open).mayCreate, true)
  t.same(boundsProblems({ cpu: 4.01, memoryBytes: 5 }, held), {
    beyond: [{ path: 'cpu', message: 'at most 4' }],
    unheld: [{ path: 'memoryBytes', message: 'no host here can hold this limit' }],
  })
  t.equal(
    limitsOf(roomy, [offers({ images: true }, false), offers({})], none, member, open).images,
    false,
    'a host that is away offers nothing while another is there',
  )
})
