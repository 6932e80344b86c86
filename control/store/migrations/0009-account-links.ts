/** One-time links of administrators: to set a new password, and to become a user. */
import type { Knex } from 'knex'

/** Makes their tables. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('reset_links', (t) => {
    t.string('hash', 64).primary()
    t.string('id', 40).notNullable().unique()
    t.string('user_id', 40).notNullable().references('users.id').onDelete('CASCADE').index()
    t.bigInteger('expires_at_ms').notNullable()
  })
  await db.schema.createTable('invitations', (t) => {
    t.string('id', 40).primary()
    t.string('hash', 64).notNullable().unique()
    t.string('email', 254).index()
    t.string('role', 20).notNullable()
    t.text('group_ids').notNullable()
    t.string('created_by', 40).notNullable()
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('expires_at_ms').notNullable().index()
    t.string('used_by', 40)
  })
}
