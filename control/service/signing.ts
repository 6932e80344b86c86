/** Time goes in; the keys that gateways sign statements on visitors with come out, each published before and after its use. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import type { SecretPlace, Vault } from '../credentials/secrets.ts'
import type { Db } from '../store/open.ts'
import type { StoredSigningKey } from '../store/signing-keys.ts'
import { deleteSigningKeys, insertSigningKey, listSigningKeys } from '../store/signing-keys.ts'
import type { EdgeFact, Jwks, SigningKey } from '../wire/index.ts'

const DAY_MS = 86_400_000
/** A key signs for so long. */
export const SIGNS_MS = 30 * DAY_MS
/** The next one is published so long before it signs: whoever keeps the published keys has it by then. */
export const AHEAD_MS = DAY_MS
/** A key stays published so long after its last signature: five minutes of the statement, and clocks that are wrong. */
export const AFTER_MS = 600_000

const placeOf = (kid: string): SecretPlace => ({ workspaceId: '', name: `signing_key ${kid}` })

function opened(vault: Vault, { kid, x, sealed, signsFromMs }: StoredSigningKey): SigningKey | null {
  try {
    return { kid, x, d: vault.open(placeOf(kid), sealed), signsFromMs }
  } catch {
    // Sealed by a key that this server does not have.
    return null
  }
}

/** What is to be done about the keys, by their times alone: `from` is when a new one begins to sign. */
export function duties(
  keys: readonly { readonly kid: string; readonly signsFromMs: number }[],
  nowMs: number,
): { readonly over: readonly string[]; readonly from: number | null } {
  const inOrder = keys.toSorted((a, b) => a.signsFromMs - b.signsFromMs)
  const over = inOrder
    .filter((_, i) => (inOrder[i + 1]?.signsFromMs ?? Number.POSITIVE_INFINITY) + AFTER_MS <= nowMs)
    .map(({ kid }) => kid)
  const newest = inOrder.at(-1)
  if (newest === undefined) return { over, from: nowMs }
  const due = newest.signsFromMs + SIGNS_MS
  if (due - AHEAD_MS > nowMs) return { over, from: null }
  // A server that was away for long publishes it first all the same, and signs with the old one meanwhile.
  return { over, from: Math.max(due, nowMs + AHEAD_MS) }
}

async function newKey(vault: Vault, signsFromMs: number): Promise<StoredSigningKey> {
  // Only then: nine megabytes that are needed once a month.
  const { calculateJwkThumbprint, exportJWK, generateKeyPair } = await import('jose')
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const jwk = await exportJWK(privateKey)
  const { x, d } = jwk
  if (x === undefined || d === undefined) throw new Error('a key pair of another kind')
  const kid = await calculateJwkThumbprint(jwk)
  return { kid, x, sealed: vault.seal(placeOf(kid), d), signsFromMs }
}

async function rotate(w: Writer, deployment: Deployment): Promise<void> {
  const { vault, now } = deployment
  const keys = await listSigningKeys(w.db)
  const usable = keys.filter((key) => opened(vault, key) !== null)
  const { over, from } = duties(usable, now())
  const gone = [...over, ...keys.filter((key) => !usable.includes(key)).map(({ kid }) => kid)]
  if (gone.length === 0 && from === null) return
  // First: a server with another secrets.key than the deployment's can't, and must change nothing.
  const made = from === null ? null : await newKey(vault, from)
  await deleteSigningKeys(w.db, gone)
  if (made !== null) await insertSigningKey(w.db, made)
  await w.changed('signing', made?.kid ?? 'over')
}

const failing = new WeakSet<Deployment>()

/** Makes the first key, publishes the next in time, forgets what has served. Safe to repeat, on several servers too. */
export async function keepSigningKeys(deployment: Deployment): Promise<void> {
  const { feed, vault, now, log } = deployment
  const keys = await listSigningKeys(feed.db)
  const { over, from } = duties(keys, now())
  const isWhole = keys.every((key) => opened(vault, key) !== null)
  if (isWhole && over.length === 0 && from === null) return
  try {
    await feed.write((w) => rotate(w, deployment))
  } catch (err) {
    // Tried again by each sweep, and told once.
    if (!failing.has(deployment)) log.warn('the keys of identity assertions could not be kept up', { err })
    failing.add(deployment)
  }
}

/** What gateways sign with; a key that can't be opened here is left out. */
export async function signingFact({ vault }: Deployment, db: Db): Promise<EdgeFact> {
  const keys = (await listSigningKeys(db)).map((key) => opened(vault, key))
  return { kind: 'signing', row: keys.filter((key) => key !== null) }
}

/** The public parts, as programs look them up (RFC 7517, RFC 8037). */
export async function publicKeys({ feed }: Deployment): Promise<Jwks> {
  const keys = await listSigningKeys(feed.db)
  return {
    keys: keys.map(({ kid, x }) => ({ kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' })),
  }
}
