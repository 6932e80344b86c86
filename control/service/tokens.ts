/** Access tokens: made by a person or with another token, ended together with those that were made with them. */
import type { Person } from '../authorization/authorization.ts'
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import { minted } from '../credentials/minting.ts'
import { grantsOnWorkspaces } from '../store/grants.ts'
import type { Db } from '../store/open.ts'
import type { Token } from '../store/tokens.ts'
import { deleteTokens, insertToken, listTokens } from '../store/tokens.ts'
import { listWorkspaces } from '../store/workspaces.ts'
import { hashToken, newId, newToken } from '../credentials/tokens.ts'
import { tokenView } from '../views/views.ts'
import { workspaceFor } from '../authorization/whose.ts'
import { ApiError, roleOn } from '../wire/index.ts'
import type { Scope, TokenView } from '../wire/index.ts'

const TOKENS_MAX = 100

export interface TokenWish {
  readonly name: string
  readonly scopes?: readonly Scope[] | undefined
  /** Id or name. */
  readonly workspace?: string | undefined
  readonly ports?: readonly number[] | undefined
  readonly expiresAtMs?: number | undefined
}

/** Whoever is anything to a workspace may have a token of it; by office alone, nobody. */
const SEES = { who: 'workspace', level: 'viewer' } as const

/**
 * Makes a token that may no more than who asks; `token` is shown once.
 * @throws ApiError missing_scope, not_found, invalid_body, forbidden, limit_exceeded
 */
export async function makeToken(
  deployment: Deployment,
  person: Person,
  wish: TokenWish,
): Promise<{ id: string; token: string }> {
  const { feed, now } = deployment
  const [id, token] = [newId(), newToken('pst_')]
  await feed.write(async (w) => {
    const all = await listTokens(w.db, { userId: person.id })
    if (all.length >= TOKENS_MAX)
      throw new ApiError('limit_exceeded', `At most ${TOKENS_MAX} tokens; delete one first.`)
    const by = person.token === null ? null : all.find((each) => each.id === person.token?.id)
    // It was ended while its request was on the way.
    if (by === undefined) throw new ApiError('unauthenticated')
    const at =
      wish.workspace === undefined
        ? undefined
        : (await workspaceFor(w.db, person, wish.workspace, SEES, now())).workspace.id
    const powers = minted({ ...wish, workspaceId: at }, by, person.role === 'auditor')
    await insertToken(w.db, {
      ...powers,
      hash: hashToken(token),
      id,
      userId: person.id,
      name: wish.name,
      parentId: by?.id ?? null,
      createdAtMs: now(),
      lastUsedAtMs: null,
    })
    await w.changed('token', hashToken(token), person.id)
  })
  return { id, token }
}

/** Ends tokens, and all that were made with them. */
export async function endTokens(w: Writer, tokens: readonly Token[]): Promise<void> {
  let next = tokens
  while (next.length > 0) {
    await deleteTokens(
      w.db,
      next.map(({ hash }) => hash),
    )
    for (const { hash, userId } of next) await w.changed('token', hash, userId)
    next = await listTokens(w.db, { parentIds: next.map(({ id }) => id) })
  }
}

/** A person's tokens; workspaces by name where they may see them now. */
export async function tokensOf(db: Db, person: Person, nowMs: number): Promise<TokenView[]> {
  const tokens = await listTokens(db, { userId: person.id })
  const ids = [...new Set(tokens.flatMap(({ bounds }) => bounds?.workspaceId ?? []))]
  const rows = ids.length === 0 ? [] : await listWorkspaces(db, { ids })
  const grants = await grantsOnWorkspaces(db, ids)
  const seen = rows.filter(
    (row) => roleOn({ ...row, grants: grants.get(row.id) ?? [] }, person, nowMs) !== null,
  )
  const names = new Map(seen.map(({ id, name }) => [id, name]))
  return tokens.map((token) => tokenView(token, names))
}
