/**
 * Aliases of workspaces, and what is remembered of a name: until when it was kept for its former owner, and since when
 * it is somebody else's.
 */
import type { Knex } from 'knex'

/** Makes the table of aliases; names that are freed are remembered from now on. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('aliases', (t) => {
    t.string('name', 40).primary()
    t.string('workspace_id', 40).notNullable().references('workspaces.id').onDelete('CASCADE').index()
    t.integer('port')
    t.bigInteger('created_at_ms').notNullable()
  })
  await db.schema.alterTable('reserved_names', (t) => {
    t.bigInteger('freed_at_ms')
    t.bigInteger('reused_at_ms')
  })
}
