/** The hand-off of a signed-in browser to a workspace's host: one-time codes go out, sessions on that host for them come back. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import { reusedAtMs } from '../store/names.ts'
import type { Code } from '../store/sessions.ts'
import { consumeCode, findSession, insertCode } from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { hashToken, newToken } from '../credentials/tokens.ts'
import { ApiError, nameOfLabel } from '../wire/index.ts'
import type { EdgeControl, NewSession } from '../wire/index.ts'
import type { SessionKeeper } from './sessions.ts'
import { beginChild } from './sessions.ts'
import type { Tried } from './told-refusals.ts'
import { tellTried } from './told-refusals.ts'

const CODE_MS = 60_000

const grantSchema = z.object({
  userId: z.string(),
  parentHash: z.string(),
  workspaceId: z.string(),
  label: z.string().min(1).max(63),
  challenge: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
})

const isSame = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** The two halves of the hand-off, as gateways ask for them. */
export function handOff(
  deployment: Deployment,
  sessions: SessionKeeper,
): Pick<EdgeControl, 'issueCode' | 'redeemCode'> {
  const { feed, now } = deployment
  return {
    async issueCode(grant) {
      const { parentHash, userId, ...rest } = parseBody(grantSchema, grant)
      const parent = await findSession(feed.db, parentHash)
      if (
        parent === null ||
        parent.userId !== userId ||
        parent.workspace !== null ||
        parent.expiresAtMs <= now()
      )
        throw new ApiError('unauthenticated')
      const code = newToken('')
      await insertCode(feed.db, {
        ...rest,
        parentHash,
        userId,
        hash: hashToken(code),
        expiresAtMs: now() + CODE_MS,
      })
      await sessions.used(parentHash)
      return code
    },
    async redeemCode(given, origin) {
      // Consumed outside the transaction below: a code that fails any check is spent all the same.
      const grant = await consumeCode(feed.db, hashToken(given.code))
      try {
        return await childOf(deployment, grant, given)
      } catch (err) {
        if (err instanceof ApiError)
          await tellTried(deployment, await triedWith(deployment, grant), err.code, origin)
        throw err
      }
    },
  }
}

/** The session that a code is good for, where browser, host and time are right and its maker is still signed in. */
async function childOf(
  { feed, now }: Deployment,
  grant: Code | null,
  { nonce, label }: { readonly nonce: string; readonly label: string },
): Promise<NewSession> {
  const refused = new ApiError('forbidden', 'This link is used or too old; open the workspace again.')
  if (grant === null) throw refused
  const challenge = createHash('sha256').update(nonce).digest('base64url')
  const fits = isSame(challenge, grant.challenge) && isSame(label, grant.label) && grant.expiresAtMs > now()
  if (!fits) throw refused
  return feed.write(async (w) => {
    const parent = await findSession(w.db, grant.parentHash)
    const user = await findUser(w.db, { id: grant.userId })
    const workspace = await findWorkspace(w.db, { id: grant.workspaceId })
    const alive = parent !== null && parent.expiresAtMs > now() && parent.userId === grant.userId
    if (!alive || user === null || user.disabled || workspace === null) throw refused
    const session = await beginChild(w, parent, { workspaceId: grant.workspaceId, label }, now())
    const since = await reusedAtMs(w.db, nameOfLabel(label))
    return since === null ? session : { ...session, reusedAtMs: since }
  })
}

/** What was tried by a code: whose it was and where it led, as far as there was such a code. */
async function triedWith({ feed }: Deployment, grant: Code | null): Promise<Tried> {
  const tried = { action: 'session.begin', details: { by: 'hand-off' } } as const
  if (grant === null) return tried
  const user = await findUser(feed.db, { id: grant.userId })
  const workspace = await findWorkspace(feed.db, { id: grant.workspaceId })
  return { ...tried, object: { kind: 'user', id: grant.userId, name: user?.username ?? '' }, workspace }
}
