/** Time goes in; keys come out that statements on visitors and gateways' tokens are signed by, each known before and after its use. */
import type { Deployment } from '../deployment.ts'
import type { Writer } from '../feed/feed.ts'
import type { SecretPlace, Vault } from '../credentials/secrets.ts'
import type { Db } from '../store/open.ts'
import type { KeyPurpose, StoredSigningKey } from '../store/signing-keys.ts'
import { deleteSigningKeys, insertSigningKey, listSigningKeys } from '../store/signing-keys.ts'
import type { EdgeFact, Jwks, SigningKey } from '../wire/index.ts'

const DAY_MS = 86_400_000
/** A key signs for so long. */
export const SIGNS_MS = 30 * DAY_MS
/** The next one is published so long before it signs: whoever keeps the published keys has it by then. */
export const AHEAD_MS = DAY_MS
/** A key stays known so long after its last signature: ten minutes of a gateway's token, and clocks that are wrong. */
export const AFTER_MS = 900_000

/** What is told of a change of keys: only those of assertions are facts. */
const changeOf = { assertion: 'signing', gateway: 'gateway-key' } as const

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

async function newKey(vault: Vault, purpose: KeyPurpose, signsFromMs: number): Promise<StoredSigningKey> {
  // Only then: nine megabytes that are needed once a month.
  const { calculateJwkThumbprint, exportJWK, generateKeyPair } = await import('jose')
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const jwk = await exportJWK(privateKey)
  const { x, d } = jwk
  if (x === undefined || d === undefined) throw new Error('a key pair of another kind')
  const kid = await calculateJwkThumbprint(jwk)
  return { kid, x, sealed: vault.seal(placeOf(kid), d), signsFromMs, purpose }
}

async function rotate(w: Writer, deployment: Deployment, purpose: KeyPurpose): Promise<void> {
  const { vault, now } = deployment
  const keys = await listSigningKeys(w.db, purpose)
  const usable = keys.filter((key) => opened(vault, key) !== null)
  const { over, from } = duties(usable, now())
  const gone = [...over, ...keys.filter((key) => !usable.includes(key)).map(({ kid }) => kid)]
  if (gone.length === 0 && from === null) return
  // First: a server with another secrets.key than the deployment's can't, and must change nothing.
  const made = from === null ? null : await newKey(vault, purpose, from)
  await deleteSigningKeys(w.db, gone)
  if (made !== null) await insertSigningKey(w.db, made)
  await w.changed(changeOf[purpose], made?.kid ?? 'over')
}

/** A key of gateways' tokens. */
export interface GatewayKey extends Omit<SigningKey, 'd'> {
  readonly d: string | null
}

const failing = new WeakSet<Deployment>()

/** Makes the first keys, publishes the next in time, forgets what has served. Safe to repeat, on several servers too. */
export async function keepSigningKeys(deployment: Deployment): Promise<void> {
  await keepKeys(deployment, 'assertion')
  await keepKeys(deployment, 'gateway')
}

async function keepKeys(deployment: Deployment, purpose: KeyPurpose): Promise<void> {
  const { feed, vault, now, log } = deployment
  const keys = await listSigningKeys(feed.db, purpose)
  const { over, from } = duties(keys, now())
  const isWhole = keys.every((key) => opened(vault, key) !== null)
  if (isWhole && over.length === 0 && from === null) return
  try {
    await feed.write((w) => rotate(w, deployment, purpose))
  } catch (err) {
    // Tried again by each sweep, and told once.
    if (!failing.has(deployment))
      log.warn('the keys of assertions and gateways could not be kept up', { err })
    failing.add(deployment)
  }
}

/** What gateways sign with; a key that can't be opened here is left out. */
export async function signingFact({ vault }: Deployment, db: Db): Promise<EdgeFact> {
  const keys = (await listSigningKeys(db, 'assertion')).map((key) => opened(vault, key))
  return { kind: 'signing', row: keys.filter((key) => key !== null) }
}

/** What gateways' tokens are signed and checked by; null instead of a private part that can't be opened here. */
export async function gatewayKeys({ vault, feed }: Deployment): Promise<readonly GatewayKey[]> {
  const keys = await listSigningKeys(feed.db, 'gateway')
  return keys.map((key) => ({ ...key, d: opened(vault, key)?.d ?? null }))
}

/** The public parts, as programs look them up (RFC 7517, RFC 8037). */
export async function publicKeys({ feed }: Deployment): Promise<Jwks> {
  const keys = await listSigningKeys(feed.db, 'assertion')
  return {
    keys: keys.map(({ kid, x }) => ({ kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' })),
  }
}
