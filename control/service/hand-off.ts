/** The hand-off of a signed-in browser to a workspace's host: one-time codes go out, sessions on that host for them come back. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { Deployment } from '../deployment.ts'
import { parseBody } from '../api/parse.ts'
import { reusedAtMs } from '../store/names.ts'
import { consumeCode, findSession, insertCode } from '../store/sessions.ts'
import { findUser } from '../store/users.ts'
import { findWorkspace } from '../store/workspaces.ts'
import { hashToken, newToken } from '../credentials/tokens.ts'
import { ApiError, nameOfLabel } from '../wire/index.ts'
import type { EdgeControl } from '../wire/index.ts'
import type { SessionKeeper } from './sessions.ts'
import { beginChild } from './sessions.ts'

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
    async redeemCode({ code, nonce, label }) {
      const refused = new ApiError('forbidden', 'This link is used or too old; open the workspace again.')
      // Consumed outside the transaction below: a code that fails any check is spent all the same.
      const grant = await consumeCode(feed.db, hashToken(code))
      if (grant === null) throw refused
      const challenge = createHash('sha256').update(nonce).digest('base64url')
      const fits =
        isSame(challenge, grant.challenge) && isSame(label, grant.label) && grant.expiresAtMs > now()
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
    },
  }
}
