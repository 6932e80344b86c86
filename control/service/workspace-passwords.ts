/** Passwords before workspaces and ports: set by who may share, given by visitors, whose session or token then has the pass. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import type { Passwords } from '../credentials/passwords.ts'
import { findGuest } from '../store/guests.ts'
import type { Db } from '../store/open.ts'
import { findSession } from '../store/sessions.ts'
import { listTokens } from '../store/tokens.ts'
import type { WorkspacePassword } from '../store/workspace-passwords.ts'
import {
  deleteWorkspacePassword,
  insertPass,
  listWorkspacePasswords,
  replaceWorkspacePassword,
} from '../store/workspace-passwords.ts'
import type { Workspace } from '../store/workspaces.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { hashToken, newId } from '../credentials/tokens.ts'
import type { Budgets, Charges } from '../credentials/tries.ts'
import { budgetsOf, refund, spend } from '../credentials/tries.ts'
import { ApiError, networkOf } from '../wire/index.ts'
import type { EdgeControl } from '../wire/index.ts'
import { beginGuest } from './guests.ts'
import { orTold } from './told-refusals.ts'

/**
 * Tries at one workspace: by one visitor, and by all of their class. Strangers share an allowance, 14,400 guesses a day,
 * that known visitors don't draw on: a crowd of addresses that guesses keeps only other strangers waiting, who get a
 * turn at the next refill, every six seconds.
 */
const perVisitor = { burst: 5, refillMs: 15_000 }
const perClass = { burst: 60, refillMs: 6000 }
/** By one address at all workspaces: each try costs a hash. */
const perAddress = { burst: 20, refillMs: 5000 }

type Given = Parameters<EdgeControl['givePassword']>[0]

/** Sets or changes the password of a workspace, or of one port: whoever gave another one gives the new one. */
export async function setPassword(
  { feed, now }: Deployment,
  passwords: Passwords,
  workspace: Workspace,
  given: { readonly password: string; readonly port: number | null },
): Promise<void> {
  const { port } = given
  if (port !== null && !workspace.resolved.ports.some((declared) => declared.port === port))
    throw new ApiError('invalid_body', undefined, {
      errors: [{ path: 'port', message: 'is not declared' }],
    })
  const hash = await passwords.hash(given.password)
  await feed.write(async (w) => {
    const password = { version: newId(), workspaceId: workspace.id, port, hash, setAtMs: now() }
    await replaceWorkspacePassword(w.db, password)
    await w.changed('workspace', workspace.id, workspace.ownerId)
  })
}

/** Takes a password away; also where there is none. */
export async function removePassword(
  { feed }: Deployment,
  workspace: Workspace,
  port: number | null,
): Promise<void> {
  await feed.write(async (w) => {
    if (!(await deleteWorkspacePassword(w.db, workspace.id, port))) return
    await w.changed('workspace', workspace.id, workspace.ownerId)
  })
}

interface Holder {
  readonly hash: string
  readonly userId: string | null
  /** For the limits: somebody whom we know. */
  readonly name: string
}

/** What a pass hangs on: the dashboard session, the guest's first session, or the token; null: gone, or elsewhere's. */
async function holderOf(db: Db, { holder, workspaceId }: Given): Promise<Holder | null> {
  if (holder === null) return null
  if (holder.kind === 'token') {
    const [token] = await listTokens(db, { hash: holder.hash })
    return token === undefined ? null : { hash: token.hash, userId: token.userId, name: token.userId }
  }
  const session = await findSession(db, holder.hash)
  if (session?.workspace?.workspaceId === workspaceId)
    return { hash: session.workspace.parentHash, userId: session.userId, name: session.userId }
  const guest = await findGuest(db, holder.hash)
  if (guest?.workspaceId !== workspaceId) return null
  return { hash: guest.rootHash, userId: null, name: guest.linkId === null ? '' : guest.rootHash }
}

async function keep(w: Writer, holder: Holder, kind: 'session' | 'token', version: string, now: number) {
  await insertPass(w.db, holder.hash, version, now)
  await w.changed(kind, holder.hash, holder.userId)
}

interface Tries {
  readonly visitors: Budgets
  readonly classes: Budgets
  readonly addresses: Budgets
}

function chargesOf(tries: Tries, workspaceId: string, holder: Holder | null, ip: string): Charges {
  const network = networkOf(ip)
  const visitor = holder === null || holder.name === '' ? network : holder.name
  return [
    [tries.visitors, `${workspaceId} ${visitor}`],
    [tries.classes, `${workspaceId} ${visitor === network ? 'strangers' : 'known'}`],
    [tries.addresses, network],
  ]
}

/** The password before a port: its own, or that of the whole workspace. */
function before(passwords: readonly WorkspacePassword[], port: number | null): WorkspacePassword | null {
  const own = port === null ? undefined : passwords.find((each) => each.port === port)
  return own ?? passwords.find((each) => each.port === null) ?? null
}

/** @throws ApiError wrong_password, rate_limited, forbidden, overloaded */
export function passDoor(deployment: Deployment, passwords: Passwords): EdgeControl['givePassword'] {
  const { feed, now } = deployment
  const tries: Tries = {
    visitors: budgetsOf(perVisitor, now),
    classes: budgetsOf(perClass, now),
    addresses: budgetsOf(perAddress, now),
  }
  return async (given, origin) => {
    const { workspaceId, port, label } = given
    const read = async (db: Db): Promise<WorkspacePassword | null> =>
      before(await listWorkspacePasswords(db, [workspaceId]), port)
    const wanted = await read(feed.db)
    if (wanted === null) return null
    const charges = chargesOf(tries, workspaceId, await holderOf(feed.db, given), origin.ip)
    const workspace = await findWorkspace(feed.db, { id: workspaceId })
    const object = { kind: 'workspace', id: workspaceId, name: workspace?.name ?? '' }
    await orTold(deployment, { action: 'access.denied', object, workspace }, origin, async () => {
      spend(charges)
      if (!(await passwords.verify(given.password, wanted.hash))) throw new ApiError('wrong_password')
      refund(charges)
    })
    return feed.write(async (w) => {
      const workspace = await findWorkspace(w.db, { id: workspaceId })
      // Another password by now: nothing was given for that.
      if (workspace === null || (await read(w.db))?.version !== wanted.version)
        throw new ApiError('wrong_password')
      const holder = await holderOf(w.db, given)
      if (holder !== null) {
        await keep(w, holder, given.holder?.kind ?? 'session', wanted.version, now())
        return null
      }
      if (given.holder !== null) throw new ApiError('forbidden')
      const session = await beginGuest(w, { workspaceId, label }, null, origin, now())
      await insertPass(w.db, hashToken(session.token), wanted.version, now())
      return session
    })
  }
}
