/** A gateway's id goes in; the short-lived JWT with which it calls comes out, and is read again without the database. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { z } from 'zod'
import type { Deployment } from '../deployment.ts'
import { ApiError, GATEWAY_TOKEN_MS } from '../wire/index.ts'
import type { GatewayToken } from '../wire/index.ts'
import { type GatewayKey, gatewayKeys } from '../service/signing.ts'

/** So much may the clocks of two servers of one deployment differ, ms. */
export const SKEW_MS = 60_000
/** That are known to be good, so that a signature is checked once a token; each gateway has one or two. */
const KNOWN_MAX = 1000
const AUDIENCE = 'urn:postern:gateway-api'
const form = /^([A-Za-z0-9_-]{1,300}\.[A-Za-z0-9_-]{1,700})\.([A-Za-z0-9_-]{86})$/

/** Whom a token is for, and until when it holds by the clock of control, ms since 1970. */
export interface ReadToken {
  readonly gatewayId: string
  readonly issuedAtMs: number
  readonly expiresAtMs: number
}

interface Signer {
  readonly head: string
  readonly key: KeyObject
  readonly signsFromMs: number
}

const claimsSchema = z.object({
  iss: z.string(),
  aud: z.literal(AUDIENCE),
  sub: z.string().min(1),
  iat: z.int(),
  exp: z.int(),
})

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
/** A type of its own (RFC 8725 §3.11). */
const headOf = (kid: string): string => encoded({ alg: 'EdDSA', kid, typ: 'postern-gateway+jwt' })

function signerOf({ kid, x, d, signsFromMs }: GatewayKey): Signer | null {
  if (d === null) return null
  const key = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', x, d }, format: 'jwk' })
  return { head: headOf(kid), key, signsFromMs }
}

const refused = (why: string): ApiError => new ApiError('gateway_token_refused', why)

/**
 * Gateways' tokens (RFC 7519, EdDSA by RFC 8037). Their keys never leave control: those of assertions are held by every
 * gateway, so that a revoked one could sign itself on with them. What comes is taken only with a head that is, byte for
 * byte, one that we write ourselves, so that neither algorithm nor type nor key is the sender's to choose.
 */
export class GatewayTokens {
  readonly #deployment: Deployment
  readonly #issuer: string
  #signers: readonly Signer[] = []
  #keys: ReadonlyMap<string, KeyObject> = new Map()
  readonly #known = new Map<string, ReadToken>()

  constructor(deployment: Deployment) {
    this.#deployment = deployment
    this.#issuer = `urn:postern:deployment:${deployment.id}`
  }

  /** Reads the keys anew; what the old ones signed is looked at again. */
  async readKeys(): Promise<void> {
    const keys = await gatewayKeys(this.#deployment)
    this.#signers = keys.map(signerOf).filter((each) => each !== null)
    this.#keys = new Map(
      keys.map(({ kid, x }) => [
        headOf(kid),
        createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }),
      ]),
    )
    this.#known.clear()
  }

  /** @throws ApiError unavailable where no key can be opened */
  issue(gatewayId: string): GatewayToken {
    const nowMs = this.#deployment.now()
    const lastsMs = this.#deployment.options.gatewayTokenMs ?? GATEWAY_TOKEN_MS
    // They come in the order in which they sign.
    const signer = this.#signers.findLast(({ signsFromMs }) => signsFromMs <= nowMs)
    if (signer === undefined) throw new ApiError('unavailable', 'There is no key to sign with.')
    const claims = {
      iss: this.#issuer,
      aud: AUDIENCE,
      sub: gatewayId,
      iat: Math.floor(nowMs / 1000),
      exp: Math.ceil((nowMs + lastsMs) / 1000),
    } satisfies z.input<typeof claimsSchema>
    const text = `${signer.head}.${encoded(claims)}`
    const signature = sign(null, Buffer.from(text, 'latin1'), signer.key).toString('base64url')
    return { token: `${text}.${signature}`, expiresInMs: lastsMs }
  }

  /** Whom it is for. @throws ApiError gateway_token_refused */
  read(token: string): ReadToken {
    const read = this.#known.get(token) ?? this.#verified(token)
    const nowMs = this.#deployment.now()
    if (nowMs > read.expiresAtMs + SKEW_MS) throw refused('It is over.')
    if (nowMs < read.issuedAtMs - SKEW_MS)
      throw refused('It is from the future: look at the servers’ clocks.')
    return read
  }

  #verified(token: string): ReadToken {
    const [, signed = '', signature = ''] = form.exec(token) ?? []
    const dot = signed.indexOf('.')
    const key = this.#keys.get(signed.slice(0, dot))
    if (key === undefined) throw refused('It is none that this deployment signs.')
    if (!verify(null, Buffer.from(signed, 'latin1'), key, Buffer.from(signature, 'base64url')))
      throw refused('Its signature is wrong.')
    const claims = claimsSchema.safeParse(
      JSON.parse(Buffer.from(signed.slice(dot + 1), 'base64url').toString()),
    )
    if (!claims.success || claims.data.iss !== this.#issuer) throw refused('It is for somebody else.')
    const { sub, iat, exp } = claims.data
    const read = { gatewayId: sub, issuedAtMs: iat * 1000, expiresAtMs: exp * 1000 }
    if (this.#known.size >= KNOWN_MAX) this.#known.clear()
    this.#known.set(token, read)
    return read
  }
}
