// Grants at the edge: the one answer as properties and as a table, at every door, and its end while a socket is open.
import fc from 'fast-check'
import t from 'tap'
import {
  accessRoles,
  type AccessGrant,
  type Accessible,
  type Accessing,
  counts,
  type EdgeRoute,
  grantRoles,
  isOwnerOf,
  opensPort,
  portDefaults,
  reaches,
  roleOn,
  type Visibility,
  visibilities,
} from '../../control/wire/index.ts'
import { rawClient, webSocketBytes } from '../support/gateway-bytes.ts'
import { routeRow, userRow } from '../support/gateway-control.ts'
import { doorsOf, originOf, startEdge, webAndSocket } from '../support/gateway-edge.ts'
import { until } from '../support/until.ts'

const crew = { id: 'g1', name: 'crew' }
const granted = (more: Partial<AccessGrant> = {}): AccessGrant => ({
  subjectKind: 'user',
  subjectId: 'bob',
  role: 'viewer',
  ports: null,
  expiresAtMs: null,
  ...more,
})

const grantArbitrary: fc.Arbitrary<AccessGrant> = fc.record({
  subjectKind: fc.constantFrom('user', 'group'),
  subjectId: fc.constantFrom('alice', 'bob', 'g1', 'g2'),
  role: fc.constantFrom(...grantRoles),
  ports: fc.constantFrom(null, [3000], [4000, 5000]),
  expiresAtMs: fc.constantFrom(null, 99, 100, 101),
})
const arbitrary = fc.record({
  it: fc.record({
    ownerId: fc.constantFrom('alice', 'bob', 'carol'),
    ownerGroupId: fc.constantFrom(null, 'g1', 'g2'),
    grants: fc.array(grantArbitrary, { maxLength: 5 }),
  }),
  person: fc.record({
    id: fc.constantFrom('alice', 'bob'),
    role: fc.constantFrom('member', 'administrator', 'auditor'),
    groups: fc.subarray([{ id: 'g1' }, { id: 'g2' }]),
  }),
  port: fc.constantFrom(null, 3000, 4000, 9),
  visibility: fc.constantFrom(...visibilities),
})
const NOW = 100

t.test('properties of the one answer', (t) => {
  fc.assert(
    fc.property(arbitrary, ({ it, person, port, visibility }) => {
      const role = roleOn(it, person, NOW)
      const opens = opensPort(it, person, port, visibility, NOW)
      const isMember = person.role !== 'auditor'
      const mine = it.grants.filter((grant) => counts(grant, person, NOW))
      // Said once more, in other words.
      const owns =
        isMember &&
        (it.ownerGroupId === null
          ? it.ownerId === person.id
          : person.groups.some(({ id }) => id === it.ownerGroupId))
      if (isOwnerOf(it, person) !== owns || (role === 'owner') !== owns) return false
      if (visibility === 'public') return opens
      if (!isMember) return !opens && (role === null || role === 'viewer')
      if (visibility === 'members' || owns) return opens
      // What opens a port is something that lets see the workspace, and no role is more than some grant says.
      if (opens && role === null) return false
      if (role !== null && !mine.some((grant) => grant.role === role)) return false
      if (mine.some((grant) => !reaches(role, grant.role))) return false
      const fits = mine.filter(({ ports }) => ports === null || (port !== null && ports.includes(port)))
      const shown = visibility === 'shared' || visibility === 'link'
      return opens === fits.some((grant) => shown || reaches(grant.role, 'editor'))
    }),
    { numRuns: 3000 },
  )
  // Nobody loses by a further grant, and nobody gains by time.
  fc.assert(
    fc.property(arbitrary, grantArbitrary, ({ it, person, port, visibility }, more) => {
      const richer = { ...it, grants: [...it.grants, more] }
      const before = roleOn(it, person, NOW)
      const after = roleOn(richer, person, NOW)
      const later = roleOn(it, person, NOW + 1)
      return (
        (before === null || reaches(after, before)) &&
        (later === null || reaches(before, later)) &&
        (!opensPort(it, person, port, visibility, NOW) || opensPort(richer, person, port, visibility, NOW))
      )
    }),
  )
  for (const [i, role] of accessRoles.entries())
    for (const [j, level] of accessRoles.entries()) t.equal(reaches(role, level), i >= j)
  t.notOk(reaches(null, 'viewer'))
  t.end()
})

t.test('a nobody opens what is public, whatever is granted', (t) => {
  const it: Accessible = { ownerId: '', ownerGroupId: null, grants: [granted({ subjectId: '' })] }
  for (const visibility of visibilities)
    t.equal(opensPort(it, null, 3000, visibility, NOW), visibility === 'public', visibility)
  const odd: Accessing = { id: 'g1', role: 'member', groups: [] }
  t.equal(roleOn({ ...it, grants: [granted({ subjectKind: 'group', subjectId: 'g1' })] }, odd, NOW), null)
  t.end()
})

/** What each visitor gets of each visibility: `+` in, `-` not. In the order of `visibilities`. */
const table: Readonly<Record<string, string>> = {
  owner: '+++++',
  'owner by group': '+++++',
  'who answers for it, outside the group': '--+-+',
  stranger: '--+-+',
  viewer: '-++++',
  'viewer by group': '-++++',
  'viewer of another port': '--+-+',
  'viewer too late': '--+-+',
  editor: '+++++',
  manager: '+++++',
  'manager by group': '+++++',
  auditor: '----+',
  'auditor with a grant': '----+',
  administrator: '--+-+',
}

function sceneOf(who: string): { user: Partial<ReturnType<typeof userRow>>; route: Partial<EdgeRoute> } {
  const inCrew = { groups: [crew] }
  const byGroup = { subjectKind: 'group', subjectId: 'g1' } as const
  switch (who) {
    case 'owner':
      return { user: {}, route: { ownerId: 'bob' } }
    case 'owner by group':
      return { user: inCrew, route: { ownerGroupId: 'g1' } }
    case 'who answers for it, outside the group':
      return { user: {}, route: { ownerId: 'bob', ownerGroupId: 'g1' } }
    case 'viewer of another port':
      return { user: {}, route: { grants: [granted({ ports: [9] })] } }
    case 'viewer too late':
      return { user: {}, route: { grants: [granted({ expiresAtMs: 1 })] } }
    case 'auditor':
      return { user: { role: 'auditor' }, route: { ownerId: 'bob' } }
    case 'auditor with a grant':
      return { user: { role: 'auditor' }, route: { grants: [granted({ role: 'manager' })] } }
    case 'administrator':
      return { user: { role: 'administrator' }, route: {} }
    case 'viewer':
    case 'editor':
    case 'manager':
      return { user: {}, route: { grants: [granted({ role: who })] } }
    case 'viewer by group':
    case 'manager by group': {
      const role = who === 'viewer by group' ? 'viewer' : 'manager'
      return { user: inCrew, route: { grants: [granted({ ...byGroup, role })] } }
    }
    default:
      return { user: {}, route: {} }
  }
}

t.test('visitor by visibility, at every door', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  const route = edge.workspace('shop')
  const port = edge.upstream.port
  const token = edge.control.token('bob', ['connect'])
  const request = { host: 'shop.ws.localhost:8090', headers: [`X-Postern-Token: ${token}`, originOf('shop')] }
  for (const [who, expected] of Object.entries(table)) {
    const scene = sceneOf(who)
    edge.control.user(userRow('bob', scene.user))
    for (const door of doorsOf(edge)) {
      let got = ''
      for (const visibility of visibilities) {
        edge.control.route({ ...route, ...scene.route, ports: [{ ...portDefaults, port, visibility }] })
        const { status } = await door.try(request)
        got += status === 200 || status === 101 ? '+' : '-'
        if (status !== 200 && status !== 101) t.equal(status, 404, `${who}, ${visibility} at ${door.name}`)
      }
      t.equal(got, expected, `${who} at ${door.name}`)
    }
  }
})

t.test('what a grant opened ends with it, while it is open', async (t) => {
  const edge = await startEdge(t, { script: webAndSocket })
  let nowMs = Date.now()
  edge.control.nowMs = () => nowMs
  const shared: Visibility = 'shared'
  const base = edge.workspace('shop', {}, shared)
  const own = base.ports
  const mine = granted()
  const byGroup = granted({ subjectKind: 'group', subjectId: 'g1' })
  const cases: [string, Partial<EdgeRoute>, () => void][] = [
    ['the grant', { grants: [mine] }, () => edge.control.route({ ...base, grants: [] })],
    ['its time', { grants: [granted({ expiresAtMs: nowMs + 5_000 })] }, () => void (nowMs += 6_000)],
    [
      'its ports',
      { grants: [mine] },
      () => edge.control.route({ ...base, grants: [granted({ ports: [9] })] }),
    ],
    ['the membership', { grants: [byGroup] }, () => edge.control.user(userRow('bob'))],
    [
      'the group’s ownership',
      { ownerGroupId: 'g1' },
      () => edge.control.route({ ...base, ownerGroupId: 'g2' }),
    ],
    ['the membership of an owner', { ownerGroupId: 'g1' }, () => edge.control.user(userRow('bob'))],
    [
      'an editor’s role',
      { grants: [granted({ role: 'editor' })], ports: [] },
      () => edge.control.route({ ...base, ports: [], grants: [mine] }),
    ],
    ['the role of a user', { grants: [mine] }, () => edge.control.user(userRow('bob', { role: 'auditor' }))],
  ]
  for (const [what, row, lose] of cases) {
    edge.control.user(userRow('bob', { groups: [crew] }))
    const route = { ...base, ports: own, ...row }
    edge.control.route(route)
    const cookie = edge.cookie('bob', route)
    const bytes = webSocketBytes({
      host: 'shop.ws.localhost:8090',
      headers: [`Cookie: ${cookie}`, originOf('shop')],
    })
    const client = await rawClient(edge.port)
    client.send(bytes)
    await client.received(/101/)
    edge.control.route({
      ...route,
      reason: 'something else',
      grants: [...route.grants, granted({ subjectId: 'eve' })],
    })
    edge.control.user(userRow('eve'))
    t.notOk(client.socket.destroyed, `${what}: another’s grant changes nothing`)
    lose()
    await client.closed(10_000)
    t.pass(`without ${what} it is closed`)
    await until(() => edge.upstream.open() === 0, { what: `nothing open at the app without ${what}` })
  }
})

t.test('who may steer starts it from its page; a viewer may not', async (t) => {
  const edge = await startEdge(t)
  const base = routeRow('shop', {
    phase: 'stopped',
    reach: { kind: 'none' },
    reason: 'It ran out of memory.',
  })
  const ports = [{ ...portDefaults, port: 3000, visibility: 'shared' as const }]
  for (const [role, status] of [
    ['viewer', 403],
    ['editor', 303],
    ['manager', 303],
  ] as const) {
    const route = { ...base, ports, defaultPort: 3000, grants: [granted({ role })] }
    edge.control.route(route)
    const cookie = edge.cookie('bob', route)
    const door = doorsOf(edge)[0]
    const page = await door?.try({
      host: 'shop.ws.localhost:8090',
      headers: [`Cookie: ${cookie}`, 'Accept: text/html'],
    })
    t.equal(page?.body.includes('ran out of memory'), status === 303, `${role}: is told what is the matter`)
    const asked = await door?.try({
      host: 'shop.ws.localhost:8090',
      method: 'POST',
      path: '/.postern/start',
      headers: [`Cookie: ${cookie}`, originOf('shop'), 'Content-Type: application/x-www-form-urlencoded'],
      body: 'back=/',
    })
    t.equal(asked?.status, status, role)
  }
  t.same(edge.control.started, [`${base.workspaceId} bob`, `${base.workspaceId} bob`])
})
