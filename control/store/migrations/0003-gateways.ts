/** Gateways in processes of their own, and the one-use tokens with which they join. */
import type { Knex } from 'knex'

/** Makes their tables. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('gateways', (t) => {
    t.string('id', 40).primary()
    t.string('name', 80).notNullable()
    t.string('machine_id', 128).notNullable()
    t.string('credential_hash', 64).notNullable().unique()
    t.string('version', 64).notNullable()
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('last_seen_at_ms').notNullable()
  })
  await db.schema.createTable('gateway_tokens', (t) => {
    t.string('hash', 64).primary()
    t.string('id', 40).notNullable().unique()
    t.string('name', 80).notNullable()
    t.bigInteger('expires_at_ms').notNullable()
  })
}
