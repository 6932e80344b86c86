/** What people asked to be let into: one row for each person and name, whether or not there is such a workspace. */
import type { Knex } from 'knex'

/** Makes the table. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('access_requests', (t) => {
    t.string('id', 40).primary()
    t.string('user_id', 40).notNullable().references('users.id').onDelete('CASCADE')
    t.string('name', 40).notNullable()
    t.integer('port')
    t.string('workspace_id', 40).references('workspaces.id').onDelete('SET NULL').index()
    t.string('state', 10).notNullable()
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('expires_at_ms').notNullable().index()
    t.unique(['user_id', 'name'])
  })
}
