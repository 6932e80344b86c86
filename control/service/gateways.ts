/** Gateways in processes of their own come in: they join by a one-use token, get tokens for a credential, and can be revoked. */
import type { Deployment } from '../deployment.ts'
import type { Batch } from '../feed/feed.ts'
import type { ChangeKind } from '../store/changes.ts'
import type { StoredGateway } from '../store/gateways.ts'
import {
  consumeGatewayToken,
  deleteGateway,
  insertGateway,
  insertGatewayToken,
  listGateways,
  touchGateway,
  updateGateway,
} from '../store/gateways.ts'
import { GatewayTokens, SKEW_MS } from '../credentials/gateway-tokens.ts'
import { hashToken, newId, newToken } from '../credentials/tokens.ts'
import { ApiError } from '../wire/index.ts'
import type { GatewayJoin, GatewayJoined, GatewayToken } from '../wire/index.ts'

/** A join token works once, for so long, in ms. */
const JOIN_MS = 86_400_000

/** A gateway that showed a token. */
export interface Identified {
  readonly gateway: StoredGateway
  /** Until when this is so, without another token, ms since 1970. */
  readonly untilMs: number
}

export interface Gateways {
  /** A one-use join token, shown once. */
  newToken(name: string): Promise<{ id: string; token: string; expiresAtMs: number }>
  /** By a join token (new) or a gateway token (known again). @throws ApiError unauthenticated, gateway_token_refused, gateway_unknown */
  join(body: GatewayJoin, bearer: string): Promise<GatewayJoined>
  /** A token for its credential. @throws ApiError gateway_unknown */
  exchange(credential: string): GatewayToken
  /** Whose token it is, answered from memory. @throws ApiError gateway_token_refused, gateway_unknown */
  identify(token: string): Identified
  /** True for the token of a gateway that isn't revoked; answered from memory. */
  knows(token: string): boolean
  /** False for one that is revoked, or never was; answered from memory. */
  has(id: string): boolean
  /** Notes that a gateway is there. */
  seen(id: string): Promise<void>
  list(): readonly StoredGateway[]
  /** From now on its credential is worth nothing. @throws ApiError not_found */
  revoke(id: string): Promise<void>
  /** Reads anew what changed. */
  changed(batch: Batch): Promise<void>
}

class KnownGateways implements Gateways {
  readonly #deployment: Deployment
  readonly #tokens: GatewayTokens
  #byId: ReadonlyMap<string, StoredGateway> = new Map()
  #byHash: ReadonlyMap<string, StoredGateway> = new Map()

  constructor(deployment: Deployment) {
    this.#deployment = deployment
    this.#tokens = new GatewayTokens(deployment)
  }

  async read(): Promise<void> {
    await this.#readRows()
    await this.#tokens.readKeys()
  }

  async #readRows(): Promise<void> {
    this.#hold(await listGateways(this.#deployment.feed.db))
  }

  #hold(rows: readonly StoredGateway[]): void {
    this.#byId = new Map(rows.map((row) => [row.id, row]))
    this.#byHash = new Map(rows.map((row) => [row.credentialHash, row]))
  }

  async newToken(name: string): Promise<{ id: string; token: string; expiresAtMs: number }> {
    const now = this.#deployment.now()
    const [id, token, expiresAtMs] = [newId(), newToken('psi_'), now + JOIN_MS]
    await insertGatewayToken(this.#deployment.feed.db, { hash: hashToken(token), id, name, expiresAtMs }, now)
    return { id, token, expiresAtMs }
  }

  async join(body: GatewayJoin, bearer: string): Promise<GatewayJoined> {
    const { feed, audit, options, vault, log, now } = this.#deployment
    const joining = bearer.startsWith('psi_')
    // Before the one writer is waited for: anybody may try.
    const known = joining ? null : this.identify(bearer).gateway
    const { gateway, credential } = await feed.write(async (w) => {
      if (joining && !(await consumeGatewayToken(w.db, hashToken(bearer), now())))
        throw new ApiError('unauthenticated', 'This join token is used, too old or not known here.')
      const fresh = joining ? newToken('psg_') : undefined
      const row: StoredGateway = {
        ...body,
        id: known?.id ?? newId(),
        credentialHash: known?.credentialHash ?? hashToken(fresh ?? ''),
        createdAtMs: known?.createdAtMs ?? now(),
        lastSeenAtMs: now(),
      }
      if (known === null) await insertGateway(w.db, row)
      else if (!(await updateGateway(w.db, row))) throw new ApiError('gateway_unknown')
      await w.changed('gateway', row.id)
      const actor = { kind: 'gateway', id: row.id, name: row.name } as const
      if (joining)
        await audit.record({ action: 'gateway.join', actor, object: { id: row.id, name: row.name } }, w.db)
      return { gateway: row, credential: fresh }
    })
    log.info('a gateway joined', {
      gatewayId: gateway.id,
      name: gateway.name,
      isNew: credential !== undefined,
    })
    return {
      gatewayId: gateway.id,
      ...(credential === undefined ? {} : { credential }),
      publicUrl: options.publicUrl,
      baseDomain: options.baseDomain,
      pathUrl: options.pathUrl ?? null,
      flowKey: vault.derive(FLOW_PURPOSE).toString('base64url'),
    }
  }

  exchange(credential: string): GatewayToken {
    const found = this.#byHash.get(hashToken(credential))
    if (found === undefined) throw new ApiError('gateway_unknown')
    return this.#tokens.issue(found.id)
  }

  identify(token: string): Identified {
    const { gatewayId, expiresAtMs } = this.#tokens.read(token)
    const gateway = this.#byId.get(gatewayId)
    if (gateway === undefined) throw new ApiError('gateway_unknown')
    return { gateway, untilMs: expiresAtMs + SKEW_MS }
  }

  knows(token: string): boolean {
    try {
      return this.identify(token).gateway.id !== ''
    } catch (err) {
      if (err instanceof ApiError) return false
      throw err
    }
  }

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  async seen(id: string): Promise<void> {
    const now = this.#deployment.now()
    await touchGateway(this.#deployment.feed.db, id, now)
    this.#hold(this.list().map((row) => (row.id === id ? { ...row, lastSeenAtMs: now } : row)))
  }

  list(): readonly StoredGateway[] {
    return [...this.#byId.values()]
  }

  async revoke(id: string): Promise<void> {
    await this.#deployment.feed.write(async (w) => {
      if (!(await deleteGateway(w.db, id))) throw new ApiError('not_found')
      await w.changed('gateway', id)
    })
    this.#deployment.log.info('a gateway was revoked', { gatewayId: id })
  }

  async changed(batch: Batch): Promise<void> {
    const isAbout = (what: ChangeKind): boolean =>
      batch.missed || batch.changes.some(({ kind }) => kind === what)
    if (isAbout('gateway')) await this.#readRows()
    if (isAbout('gateway-key')) await this.#tokens.readKeys()
  }
}

/** What the key of flow cookies is derived for. */
export const FLOW_PURPOSE = 'postern flow cookies'

/** Knows every gateway of the deployment from now on. */
export async function knownGateways(deployment: Deployment): Promise<Gateways> {
  const gateways = new KnownGateways(deployment)
  await deployment.feed.subscribe(
    () => gateways.read(),
    (batch) => gateways.changed(batch),
  )
  return gateways
}
