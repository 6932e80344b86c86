// Who was let in, and where, comes in; a signed statement of it that a program can check without asking us comes out.
import { createPrivateKey, type KeyObject, sign } from 'node:crypto'
import type { EdgeUser, Identity, SigningKey } from '../../control/wire/index.ts'
import type { Site } from '../host/site.ts'

/** How long a statement holds, ms. */
export const ASSERTION_MS = 300_000
/** One that holds for less than this is made anew, ms: a program may look at it late, or have a slow clock. */
const REST_MS = 60_000
/** So many are kept, twice at most; each takes about 600 bytes. */
const KEPT_MAX = 50_000

interface Held {
  readonly text: string
  readonly untilMs: number
}
type Kept = Map<EdgeUser, Map<string, Held>>

interface Signer {
  readonly key: KeyObject
  /** The first part of each JWT that it signs (RFC 7515 §3.1). */
  readonly head: string
}

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function signerOf({ kid, x, d }: SigningKey): Signer {
  const key = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', x, d }, format: 'jwk' })
  return { key, head: encoded({ alg: 'EdDSA', kid, typ: 'JWT' }) }
}

/**
 * Makes JWTs (RFC 7519, EdDSA by RFC 8037) that say who the visitor of a host is. One signature takes longer than a
 * whole decision, so that one is used again for all that this user asks of that host, four minutes long. What is kept
 * hangs on the user's row: a changed user is another row, and whether the visitor may is asked before it is.
 */
export class Assertions {
  readonly #site: Site
  readonly #keys: () => readonly SigningKey[]
  readonly #signers = new WeakMap<SigningKey, Signer>()
  #usedKeys: readonly SigningKey[] = []
  #young: Kept = new Map()
  #old: Kept = new Map()
  #count = 0
  /** How many were signed so far. */
  signed = 0

  /** `keys` gives those of now; without one nothing is asserted. */
  constructor(site: Site, keys: () => readonly SigningKey[]) {
    this.#site = site
    this.#keys = keys
  }

  /** The statement for one visitor of a workspace's host; '' for whoever isn't known, and while there is no key. */
  of(identity: Identity, label: string, workspaceId: string, nowMs: number): string {
    if (identity.kind === 'anonymous' || identity.kind === 'link') return ''
    const keys = this.#keys()
    if (keys !== this.#usedKeys) this.#forget(keys)
    const { user } = identity
    const held = this.#young.get(user)?.get(label)
    if (held !== undefined && held.untilMs > nowMs) return held.text
    return this.#renew(user, label, workspaceId, nowMs)
  }

  #renew(user: EdgeUser, label: string, workspaceId: string, nowMs: number): string {
    const older = this.#old.get(user)?.get(label)
    if (older !== undefined && older.untilMs > nowMs) return this.#keep(user, label, older)
    const text = this.#sign(user, label, workspaceId, nowMs)
    if (text === '') return ''
    return this.#keep(user, label, { text, untilMs: nowMs + ASSERTION_MS - REST_MS })
  }

  #keep(user: EdgeUser, label: string, held: Held): string {
    if (this.#count >= KEPT_MAX) {
      this.#old = this.#young
      this.#young = new Map()
      this.#count = 0
    }
    const ofUser = this.#young.get(user)
    if (ofUser === undefined) this.#young.set(user, new Map([[label, held]]))
    else ofUser.set(label, held)
    this.#count++
    return held.text
  }

  /** The newest key that signs already. */
  #signer(nowMs: number): Signer | null {
    let newest: SigningKey | null = null
    for (const key of this.#usedKeys)
      if (key.signsFromMs <= nowMs && (newest === null || key.signsFromMs > newest.signsFromMs)) newest = key
    if (newest === null) return null
    const known = this.#signers.get(newest)
    if (known !== undefined) return known
    const made = signerOf(newest)
    this.#signers.set(newest, made)
    return made
  }

  // Not by jose: that signs on another thread, and nobody else's request may come between a decision and its use.
  #sign(user: EdgeUser, label: string, workspaceId: string, nowMs: number): string {
    const signer = this.#signer(nowMs)
    if (signer === null) return ''
    const atSeconds = Math.floor(nowMs / 1000)
    const claims = encoded({
      iss: this.#site.publicOrigin,
      aud: this.#audience(label),
      sub: user.id,
      username: user.username,
      email: user.email,
      groups: user.groups.map(({ name }) => name).toSorted(),
      workspace: workspaceId,
      iat: atSeconds,
      exp: atSeconds + ASSERTION_MS / 1000,
    })
    this.signed++
    const text = `${signer.head}.${claims}`
    return `${text}.${sign(null, Buffer.from(text, 'latin1'), signer.key).toString('base64url')}`
  }

  /** The host that the statement is for; by path the workspace's own path on the host of all. */
  #audience(label: string): string {
    const { paths, baseDomain } = this.#site
    return label.startsWith('/') ? `${paths?.host ?? ''}${label}` : `${label}.${baseDomain}`
  }

  #forget(keys: readonly SigningKey[]): void {
    this.#usedKeys = keys
    this.#young = new Map()
    this.#old = new Map()
    this.#count = 0
  }
}
