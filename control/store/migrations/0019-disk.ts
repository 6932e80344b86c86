/** How much disk a workspace's data may take, and an account's workspaces together. */
import type { Knex } from 'knex'

/** Adds both; what is there has no bound. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('workspaces', (t) => void t.bigInteger('disk_bytes'))
  await db.schema.alterTable('quotas', (t) => void t.bigInteger('disk_bytes'))
}
