/** A registration comes in; a host that has proved itself comes out, new or known again, with its next epoch. */
import { createPublicKey, verify } from 'node:crypto'
import type { Writer } from '../feed/feed.ts'
import type { Host } from '../store/hosts.ts'
import { findHost } from '../store/hosts.ts'
import { consumeJoinToken } from '../store/tokens.ts'
import { hashToken, newId, newToken } from '../credentials/tokens.ts'
import { ApiError } from '../wire/index.ts'
import type { Register } from '../wire/index.ts'

/** A registration is good for so long around the server's time, in ms. */
const FRESH_MS = 5 * 60_000

/** By what an agent registers: the embedded one needs nothing. */
export type Joining = { readonly kind: 'embedded' } | { readonly kind: 'bearer'; readonly token: string }

/** @throws ApiError forbidden unless the key's owner signed this very registration within five minutes. */
export function checkProof(body: Register, now: number): void {
  const text = `postern-register\n${body.machineId}\n${body.publicKey}\n${body.issuedAtMs}`
  let genuine = false
  try {
    const key = createPublicKey({
      key: Buffer.from(body.publicKey, 'base64url'),
      format: 'der',
      type: 'spki',
    })
    genuine =
      key.asymmetricKeyType === 'ed25519' &&
      verify(null, Buffer.from(text), key, Buffer.from(body.proof, 'base64url'))
  } catch {
    // Not a key, or not a signature: not genuine.
  }
  if (!genuine) throw new ApiError('forbidden', 'The proof does not fit the public key.')
  if (Math.abs(now - body.issuedAtMs) > FRESH_MS)
    throw new ApiError('forbidden', 'The registration is not fresh: set the clocks of both machines.')
}

async function knownHost(w: Writer, body: Register, joining: Joining, now: number): Promise<Host | null> {
  if (joining.kind === 'embedded') return findHost(w.db, { embeddedOn: body.machineId })
  const hash = hashToken(joining.token)
  if (joining.token.startsWith('psa_')) {
    const host = await findHost(w.db, { credentialHash: hash })
    if (host === null) throw new ApiError('unauthenticated', 'This agent credential is not known here.')
    if (host.publicKey !== body.publicKey)
      throw new ApiError('forbidden', 'The credential belongs to another key.')
    return host
  }
  if (!(await consumeJoinToken(w.db, hash, now)))
    throw new ApiError('unauthenticated', 'This join token is used, too old or not known here.')
  return findHost(w.db, { publicKey: body.publicKey })
}

/** The host as it is from this registration on, and as it was; `credential` only when it joins by a token. */
export async function joinHost(
  w: Writer,
  body: Register,
  joining: Joining,
  now: number,
): Promise<{ host: Host; known: Host | null; credential: string | undefined }> {
  const known = await knownHost(w, body, joining, now)
  const isNew = joining.kind === 'bearer' && joining.token.startsWith('psj_')
  const credential = isNew ? newToken('psa_') : undefined
  const host: Host = {
    id: known?.id ?? newId(),
    name: body.name,
    publicKey: body.publicKey,
    machineId: body.machineId,
    embedded: joining.kind === 'embedded',
    epoch: (known?.epoch ?? 0) + 1,
    credentialHash: credential === undefined ? (known?.credentialHash ?? null) : hashToken(credential),
    runtime: body.runtime,
    capabilities: body.capabilities,
    subnets: body.workspaceSubnets,
    version: body.version,
    createdAtMs: known?.createdAtMs ?? now,
    lastSeenAtMs: now,
    connected: true,
    health: known?.health ?? { status: 'healthy', message: '', warnings: [] },
    desiredRevision: known?.desiredRevision ?? 0,
  }
  return { host, known, credential }
}
