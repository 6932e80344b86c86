/** Gateways and their join tokens at rest: row ⇄ object. Only hashes of their secrets are here. */
import type { Db } from './open.ts'

export interface StoredGateway {
  readonly id: string
  readonly name: string
  /** Instances of this machine's hosts are reached directly. */
  readonly machineId: string
  readonly credentialHash: string
  readonly version: string
  readonly createdAtMs: number
  readonly lastSeenAtMs: number
}

interface Row {
  id: string
  name: string
  machine_id: string
  credential_hash: string
  version: string
  created_at_ms: number
  last_seen_at_ms: number
}

const fromRow = (row: Row): StoredGateway => ({
  id: row.id,
  name: row.name,
  machineId: row.machine_id,
  credentialHash: row.credential_hash,
  version: row.version,
  createdAtMs: row.created_at_ms,
  lastSeenAtMs: row.last_seen_at_ms,
})

const toRow = (gateway: StoredGateway): Row => ({
  id: gateway.id,
  name: gateway.name,
  machine_id: gateway.machineId,
  credential_hash: gateway.credentialHash,
  version: gateway.version,
  created_at_ms: gateway.createdAtMs,
  last_seen_at_ms: gateway.lastSeenAtMs,
})

/** Stores a new one. */
export async function insertGateway(db: Db, gateway: StoredGateway): Promise<void> {
  await db<Row>('gateways').insert(toRow(gateway))
}

/** Stores what is new of a known one; false where it has been revoked meanwhile. */
export async function updateGateway(db: Db, gateway: StoredGateway): Promise<boolean> {
  return (await db<Row>('gateways').where({ id: gateway.id }).update(toRow(gateway))) === 1
}

/** In the order in which they joined. */
export async function listGateways(db: Db): Promise<StoredGateway[]> {
  return (await db<Row>('gateways').orderBy(['created_at_ms', 'id'])).map(fromRow)
}

/** True when it was there. */
export async function deleteGateway(db: Db, id: string): Promise<boolean> {
  return (await db<Row>('gateways').where({ id }).delete()) === 1
}

/** Notes that a gateway was heard; changes nothing else. */
export async function touchGateway(db: Db, id: string, nowMs: number): Promise<void> {
  await db<Row>('gateways').where({ id }).update({ last_seen_at_ms: nowMs })
}

/** Stores a join token, and forgets those that are too old at `nowMs`. */
export async function insertGatewayToken(
  db: Db,
  token: { hash: string; id: string; name: string; expiresAtMs: number },
  nowMs: number,
): Promise<void> {
  await db('gateway_tokens').where('expires_at_ms', '<=', nowMs).delete()
  await db('gateway_tokens').insert({
    hash: token.hash,
    id: token.id,
    name: token.name,
    expires_at_ms: token.expiresAtMs,
  })
}

export async function deleteGatewayTokens(db: Db): Promise<void> {
  await db('gateway_tokens').delete()
}

/** True for the first who asks in time, for nobody after. */
export async function consumeGatewayToken(db: Db, hash: string, nowMs: number): Promise<boolean> {
  return (await db('gateway_tokens').where({ hash }).andWhere('expires_at_ms', '>', nowMs).delete()) === 1
}
