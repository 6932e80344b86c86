/** The facts that tests of fronts and forward auth decide on: two users, their workspaces, sessions and tokens. */
import { type EdgeFact, type EdgeRoute, type EdgeUser, portDefaults } from '../../control/wire/index.ts'
import { hashOf, routeRow, userRow } from './gateway-control.ts'

export const secrets = {
  adaDashboard: 'dashboard-session-of-ada-000000000000000000',
  bobDashboard: 'dashboard-session-of-bob-000000000000000000',
  /** Sessions on one workspace host each. */
  adaOnWeb: 'session-of-ada-on-web-own-00000000000000000',
  adaOnOpen: 'session-of-ada-on-web-open-0000000000000000',
  adaOnMapped: 'session-of-ada-on-mapped-3000-0000000000000',
  adaOnSleepy: 'session-of-ada-on-sleepy-3000-0000000000000',
  /** As if he had been let in once. */
  bobOnWeb: 'session-of-bob-on-web-own-00000000000000000',
  bobOnMembers: 'session-of-bob-on-web-members-0000000000000',
  adaToken: 'pst_ada-token-with-scope-connect-0000000000',
  bobToken: 'pst_bob-token-with-scope-connect-0000000000',
} as const

const far = 4_000_000_000_000

export const ada: EdgeUser = userRow('u-ada', {
  username: 'ada',
  email: 'ada@example.test',
  role: 'administrator',
  groups: [
    { id: 'g-ops', name: 'ops' },
    { id: 'g-crew', name: 'crew' },
  ],
})
export const bob: EdgeUser = userRow('u-bob', { username: 'bob', email: '' })

/** Ports of the workspace `web`: Ada's own, a public one, one for members. */
export interface WebPorts {
  readonly own: number
  readonly open: number
  readonly members: number
}
export const webPorts: WebPorts = { own: 3000, open: 4000, members: 5000 }

/** Ada's workspace `web`, whose programs listen on the loopback. */
export function webRoute(ports: WebPorts): EdgeRoute {
  return routeRow('web', {
    workspaceId: 'w-web',
    ownerId: ada.id,
    aliases: ['shop'],
    incarnation: 'i-1',
    defaultPort: ports.own,
    ports: [
      { ...portDefaults, port: ports.own },
      { ...portDefaults, port: ports.open, visibility: 'public' },
      { ...portDefaults, port: ports.members, visibility: 'members' },
    ],
  })
}

/** Ada's workspace whose one port 3000 a runtime maps to that of web. */
const mappedRoute = (ports: WebPorts): EdgeRoute => ({
  ...webRoute(ports),
  workspaceId: 'w-mapped',
  name: 'mapped',
  aliases: [],
  reach: { kind: 'ports', host: '127.0.0.1', ports: { '3000': ports.own } },
  defaultPort: 3000,
  ports: [{ ...portDefaults, port: 3000 }],
})

/** Ada's stopped workspace. */
const sleepyRoute: EdgeRoute = {
  ...mappedRoute(webPorts),
  workspaceId: 'w-sleepy',
  name: 'sleepy',
  phase: 'stopped',
  incarnation: '',
  reach: { kind: 'none' },
}

const row = <K extends 'route' | 'user'>(kind: K, key: string, value: unknown): EdgeFact =>
  ({ kind, key, row: value }) as EdgeFact

function session(
  secret: string,
  userId: string,
  on: { parent: string; workspaceId: string; label: string } | null,
): EdgeFact {
  const hash = hashOf(secret)
  const workspace = on && {
    parentHash: hashOf(on.parent),
    workspaceId: on.workspaceId,
    label: on.label,
  }
  return { kind: 'session', key: hash, row: { hash, userId, expiresAtMs: far, workspace } }
}

function token(secret: string, userId: string): EdgeFact {
  const hash = hashOf(secret)
  return {
    kind: 'token',
    key: hash,
    row: { hash, id: `t-${userId}`, userId, scopes: ['connect'], bounds: null, expiresAtMs: null },
  }
}

/** All of them. */
export function frontFacts(ports: WebPorts = webPorts): EdgeFact[] {
  const { adaDashboard, bobDashboard } = secrets
  const on = (workspaceId: string, label: string, parent: string = adaDashboard) => ({
    parent,
    workspaceId,
    label,
  })
  return [
    row('user', ada.id, ada),
    row('user', bob.id, bob),
    row('route', 'w-web', webRoute(ports)),
    row('route', 'w-mapped', mappedRoute(ports)),
    row('route', 'w-sleepy', sleepyRoute),
    session(adaDashboard, ada.id, null),
    session(bobDashboard, bob.id, null),
    session(secrets.adaOnWeb, ada.id, on('w-web', `web-${ports.own}`)),
    session(secrets.adaOnOpen, ada.id, on('w-web', `web-${ports.open}`)),
    session(secrets.adaOnMapped, ada.id, on('w-mapped', 'mapped-3000')),
    session(secrets.adaOnSleepy, ada.id, on('w-sleepy', 'sleepy-3000')),
    session(secrets.bobOnWeb, bob.id, on('w-web', `web-${ports.own}`, bobDashboard)),
    session(secrets.bobOnMembers, bob.id, on('w-web', `web-${ports.members}`, bobDashboard)),
    token(secrets.adaToken, ada.id),
    token(secrets.bobToken, bob.id),
  ]
}
