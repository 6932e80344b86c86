/** Pure. What a new token shall be, and the token that asks for it, come in; what it becomes comes out: never more than who asks. */
import { ApiError } from '../wire/index.ts'
import type { Scope, TokenBounds } from '../wire/index.ts'

/** What a token is good for. */
export interface Powers {
  readonly scopes: readonly Scope[]
  /** Null: all workspaces that its user may open. */
  readonly bounds: TokenBounds | null
  readonly expiresAtMs: number | null
}

/** What is wished for; undefined: as much as may be by itself. */
export interface Wish {
  readonly scopes?: readonly Scope[] | undefined
  readonly workspaceId?: string | undefined
  readonly ports?: readonly number[] | undefined
  readonly expiresAtMs?: number | undefined
}

const PLAIN: readonly Scope[] = ['workspaces:read', 'workspaces:write', 'connect']

const tooMuch = (what: string): ApiError =>
  new ApiError('missing_scope', `A token makes none that may more than itself: ${what}.`)

const invalid = (path: string, message: string): ApiError =>
  new ApiError('invalid_body', undefined, { errors: [{ path, message }] })

/** An auditor's tokens read. */
function most(by: Powers | null, isAuditor: boolean): readonly Scope[] | null {
  const own = by === null || by.scopes.includes('admin') ? null : by.scopes
  if (!isAuditor) return own
  return (own ?? (['workspaces:read'] as const)).filter((scope) => scope === 'workspaces:read')
}

function scopesOf(wish: Wish, by: Powers | null, isAuditor: boolean, isBound: boolean): readonly Scope[] {
  const limit = most(by, isAuditor)
  const scopes = [...new Set(wish.scopes ?? PLAIN.filter((scope) => limit === null || limit.includes(scope)))]
  if (isBound && scopes.includes('admin')) throw invalid('scopes', 'admin is for no single workspace')
  const beyond = limit === null ? undefined : scopes.find((scope) => !limit.includes(scope))
  if (beyond !== undefined)
    throw by === null ? new ApiError('forbidden', 'Tokens of auditors only read.') : tooMuch(beyond)
  if (scopes.length === 0) throw tooMuch('it may nothing of this')
  return scopes
}

function boundsOf({ workspaceId, ports }: Wish, by: TokenBounds | null): TokenBounds | null {
  const at = workspaceId ?? by?.workspaceId
  if (at === undefined) {
    if (ports !== undefined) throw invalid('ports', 'are those of a workspace: name it')
    return null
  }
  // As for everything that such a token asks of another workspace.
  if (by !== null && by.workspaceId !== at) throw new ApiError('not_found')
  const limit = by?.ports ?? null
  const beyond = ports?.find((port) => limit !== null && !limit.includes(port))
  if (beyond !== undefined) throw tooMuch(`port ${beyond}`)
  return { workspaceId: at, ports: ports === undefined ? limit : [...new Set(ports)].sort((a, b) => a - b) }
}

/**
 * `by` is the token that asks; null: a person's own session.
 * @throws ApiError missing_scope for more than `by` may, not_found for another workspace than its own, invalid_body, forbidden
 */
export function minted(wish: Wish, by: Powers | null, isAuditor: boolean): Powers {
  const bounds = boundsOf(wish, by?.bounds ?? null)
  const scopes = scopesOf(wish, by, isAuditor, bounds !== null)
  const end = by?.expiresAtMs ?? null
  const expiresAtMs = wish.expiresAtMs ?? end
  if (end !== null && (expiresAtMs === null || expiresAtMs > end)) throw tooMuch('it ends sooner')
  return { scopes, bounds, expiresAtMs }
}
