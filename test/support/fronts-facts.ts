/** The facts that tests of fronts and forward auth decide on: two users, their workspaces, sessions and tokens. */
import { createHash } from 'node:crypto'
import type { EdgeFact, EdgeRoute, EdgeUser } from '../../control/wire/index.ts'

const sha256 = (secret: string): string => createHash('sha256').update(secret).digest('hex')

export const secrets = {
  adaDashboard: 'dashboard-session-of-ada-000000000000000000',
  bobDashboard: 'dashboard-session-of-bob-000000000000000000',
  /** Ada's session on web-3000, her own workspace. */
  adaOnWeb: 'session-of-ada-on-web-3000-0000000000000000',
  adaOnWeb4000: 'session-of-ada-on-web-4000-0000000000000000',
  adaOnSleepy: 'session-of-ada-on-sleepy-3000-0000000000000',
  /** Bob's session on web-3000: as if he had been let in by mistake. */
  bobOnWeb: 'session-of-bob-on-web-3000-0000000000000000',
  adaToken: 'pst_ada-token-with-scope-connect-0000000000',
  bobToken: 'pst_bob-token-with-scope-connect-0000000000',
} as const

const far = 4_000_000_000_000

export const ada: EdgeUser = {
  id: 'u-ada',
  username: 'ada',
  email: 'ada@example.test',
  role: 'administrator',
  groups: ['crew', 'ops'],
}
export const bob: EdgeUser = { id: 'u-bob', username: 'bob', email: '', role: 'member', groups: [] }

/** Ada's workspace `web`: 3000 is hers, 4000 public, 5000 for members, all served by one program. */
export function webRoute(upstreamPort: number): EdgeRoute {
  return {
    workspaceId: 'w-web',
    name: 'web',
    ownerId: ada.id,
    aliases: ['shop'],
    phase: 'running',
    reason: '',
    incarnation: 'i-1',
    reach: {
      kind: 'ports',
      host: '127.0.0.1',
      ports: { '3000': upstreamPort, '4000': upstreamPort, '5000': upstreamPort },
    },
    defaultPort: 3000,
    ports: [
      { port: 3000, visibility: 'owner', lenient: false },
      { port: 4000, visibility: 'public', lenient: false },
      { port: 5000, visibility: 'members', lenient: false },
    ],
  }
}

/** Ada's stopped workspace. */
export const sleepyRoute: EdgeRoute = {
  ...webRoute(0),
  workspaceId: 'w-sleepy',
  name: 'sleepy',
  aliases: [],
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
  const hash = sha256(secret)
  const workspace = on && {
    parentHash: sha256(on.parent),
    workspaceId: on.workspaceId,
    label: on.label,
  }
  return { kind: 'session', key: hash, row: { hash, userId, expiresAtMs: far, workspace } }
}

function token(secret: string, userId: string): EdgeFact {
  const hash = sha256(secret)
  return {
    kind: 'token',
    key: hash,
    row: { hash, id: `t-${userId}`, userId, scopes: ['connect'], expiresAtMs: null },
  }
}

/** All of them; `upstreamPort` is where web's program listens on the loopback. */
export function frontFacts(upstreamPort: number): EdgeFact[] {
  const { adaDashboard, bobDashboard } = secrets
  const onWeb = { parent: adaDashboard, workspaceId: 'w-web' }
  return [
    row('user', ada.id, ada),
    row('user', bob.id, bob),
    row('route', 'w-web', webRoute(upstreamPort)),
    row('route', 'w-sleepy', sleepyRoute),
    session(adaDashboard, ada.id, null),
    session(bobDashboard, bob.id, null),
    session(secrets.adaOnWeb, ada.id, { ...onWeb, label: 'web-3000' }),
    session(secrets.adaOnWeb4000, ada.id, { ...onWeb, label: 'web-4000' }),
    session(secrets.adaOnSleepy, ada.id, {
      parent: adaDashboard,
      workspaceId: 'w-sleepy',
      label: 'sleepy-3000',
    }),
    session(secrets.bobOnWeb, bob.id, { parent: bobDashboard, workspaceId: 'w-web', label: 'web-3000' }),
    token(secrets.adaToken, ada.id),
    token(secrets.bobToken, bob.id),
  ]
}
