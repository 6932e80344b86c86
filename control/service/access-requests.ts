/** Who asks to be let in, and who answers, goes in; rows and grants change, and both sides are told. */
import type { Person } from '../authorization/authorization.ts'
import { shareNeed } from '../authorization/authorization.ts'
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import type { LoadedRequest } from '../views/access-request-views.ts'
import { loadRequests } from '../views/access-request-views.ts'
import type { AccessRequest } from '../store/access-requests.ts'
import { deleteAccessRequests, listAccessRequests, putAccessRequest } from '../store/access-requests.ts'
import { findWorkspaceByHost } from '../store/names.ts'
import { findUser } from '../store/users.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { newId } from '../credentials/tokens.ts'
import { budgetsOf, spend } from '../credentials/tries.ts'
import { workspaceFor } from '../authorization/whose.ts'
import { ACCESS_REQUEST_DAYS, ApiError, nameOfLabel, nameProblem, reaches, roleOn } from '../wire/index.ts'
import type { AccessRequests, GrantRequest, Origin } from '../wire/index.ts'
import { createGrant } from './grants.ts'

const LIFE_MS = ACCESS_REQUEST_DAYS * 86_400_000
/** Requests of one person at once. */
const OF_ONE_MAX = 50
const perAsker = { burst: 10, refillMs: 6 * 60_000 }
/** Requests that wait to be written down. */
const WAITING_MAX = 1000

const portOf = (label: string): number | null => {
  const digits = /-([0-9]+)$/.exec(label)?.[1]
  return digits === undefined ? null : Number(digits)
}

async function write(
  { now }: Deployment,
  w: Writer,
  userId: string,
  label: string,
): Promise<AccessRequest | null> {
  const name = nameOfLabel(label)
  const user = await findUser(w.db, { id: userId })
  if (user === null || user.disabled) return null
  const mine = await listAccessRequests(w.db, { userId })
  const known = mine.find((each) => each.name === name)
  if (known === undefined && mine.length >= OF_ONE_MAX) return null
  const workspaceId = (await findWorkspaceByHost(w.db, name))?.workspaceId ?? null
  // A second one before the first is over nags nobody, declined or not.
  if (known !== undefined && known.state !== 'granted' && known.workspaceId === workspaceId) return null
  const request: AccessRequest = {
    id: known?.id ?? newId(),
    userId,
    name,
    port: portOf(label),
    workspaceId,
    state: 'open',
    createdAtMs: now(),
    expiresAtMs: now() + LIFE_MS,
  }
  await putAccessRequest(w.db, request)
  await w.changed('access-request', request.id, userId)
  return request
}

async function tell({ audit }: Deployment, w: Writer, request: AccessRequest, origin: Origin): Promise<void> {
  const { userId, name, port, workspaceId } = request
  const user = await findUser(w.db, { id: userId })
  await audit.record(
    {
      action: 'access.request',
      actor: { kind: 'user', id: userId, name: user?.username ?? '' },
      object: { kind: 'workspace', id: workspaceId ?? '', name },
      workspace: workspaceId === null ? null : await findWorkspace(w.db, { id: workspaceId }),
      origin,
      details: { port },
    },
    w.db,
  )
}

export interface Asking {
  /**
   * Takes a request in. Whether there is such a workspace shows in nothing, the time of the answer included: it is
   * written down afterwards. @throws ApiError rate_limited, not_found
   */
  ask(given: { readonly userId: string; readonly label: string }, origin: Origin): void
  /** Resolves when all that was asked is written down. */
  settled(): Promise<void>
}

/** The door for those who ask. */
export function asking(deployment: Deployment): Asking {
  const { feed, log, now } = deployment
  const askers = budgetsOf(perAsker, now, 'You asked for a lot lately.')
  let tail: Promise<void> = Promise.resolve()
  let waiting = 0
  return {
    ask({ userId, label }, origin) {
      if (nameProblem(nameOfLabel(label)) !== null) throw new ApiError('not_found')
      if (waiting >= WAITING_MAX) throw new ApiError('overloaded')
      spend([[askers, userId]])
      waiting++
      tail = tail
        .then(async () => {
          await feed.write(async (w) => {
            const request = await write(deployment, w, userId, label)
            if (request !== null) await tell(deployment, w, request, origin)
          })
        })
        .catch((err: unknown) => log.error('a request for access was lost', { err, userId }))
        .finally(() => void waiting--)
    },
    settled: () => tail,
  }
}

/** May this person answer? */
const mayAnswer = ({ of, toAnswer }: LoadedRequest, person: Person, nowMs: number): boolean =>
  of !== null && toAnswer !== null && reaches(roleOn(of, person, nowMs), 'manager')

/** Those that a person may answer, and those that they made. */
export async function requestsFor({ feed, now }: Deployment, person: Person): Promise<AccessRequests> {
  const nowMs = now()
  const alive = ({ expiresAtMs }: AccessRequest): boolean => expiresAtMs > nowMs
  const open = await loadRequests(feed.db, (await listAccessRequests(feed.db, { open: true })).filter(alive))
  const made = (await listAccessRequests(feed.db, { userId: person.id })).filter(alive)
  return {
    toAnswer: open.flatMap((each) => (mayAnswer(each, person, nowMs) ? (each.toAnswer ?? []) : [])),
    mine: (await loadRequests(feed.db, made)).map(({ mine }) => mine),
  }
}

/** The request, for who may answer it. @throws ApiError not_found for absent, answered and another's alike */
async function answerable({ feed, now }: Deployment, person: Person, id: string): Promise<AccessRequest> {
  const [request] = await listAccessRequests(feed.db, { ids: [id.slice(0, 64)] })
  const nowMs = now()
  if (request === undefined || request.state !== 'open' || request.expiresAtMs <= nowMs)
    throw new ApiError('not_found')
  await workspaceFor(feed.db, person, request.workspaceId ?? '', shareNeed, nowMs).catch(() => {
    throw new ApiError('not_found')
  })
  return request
}

async function answered({ feed }: Deployment, id: string, state: AccessRequest['state']): Promise<void> {
  await feed.write(async (w) => {
    const [request] = await listAccessRequests(w.db, { ids: [id] })
    if (request === undefined) return
    await putAccessRequest(w.db, { ...request, state })
    await w.changed('access-request', id, request.userId)
  })
}

/** Grants what was asked for. The grant comes first: after a crash between the two, the same answer can be given again. */
export async function grantRequest(
  deployment: Deployment,
  person: Person,
  id: string,
  { role, forHours, ports }: GrantRequest,
): Promise<AccessRequest> {
  const request = await answerable(deployment, person, id)
  await createGrant(deployment, person, {
    object: { kind: 'workspace', id: request.workspaceId ?? '' },
    subject: { kind: 'user', id: request.userId },
    role,
    ...(ports === undefined ? {} : { ports }),
    ...(forHours === null
      ? {}
      : { expiresAt: new Date(deployment.now() + forHours * 3_600_000).toISOString() }),
  })
  await answered(deployment, id, 'granted')
  return request
}

/** Puts a request aside; who asked isn't told, and can't ask again before it is over. */
export async function declineRequest(
  deployment: Deployment,
  person: Person,
  id: string,
): Promise<AccessRequest> {
  const request = await answerable(deployment, person, id)
  await answered(deployment, id, 'declined')
  return request
}

/** Forgets requests whose time is over. */
export async function endAccessRequests({ feed, now }: Deployment): Promise<void> {
  const over = { expiredAtMs: now() }
  if ((await listAccessRequests(feed.db, over)).length === 0) return
  await feed.write(async (w) => {
    const requests = await listAccessRequests(w.db, over)
    await deleteAccessRequests(
      w.db,
      requests.map(({ id }) => id),
    )
    for (const { id, userId } of requests) await w.changed('access-request', id, userId)
  })
}
