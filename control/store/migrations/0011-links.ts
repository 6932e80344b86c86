/** Links to workspaces, the sessions of visitors without an account, passwords of workspaces and who gave them. */
import type { Knex } from 'knex'

/** Makes their tables. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('links', (t) => {
    t.string('id', 40).primary()
    t.string('hash', 64).notNullable().unique()
    t.string('workspace_id', 40).notNullable().references('workspaces.id').onDelete('CASCADE').index()
    t.integer('port')
    t.string('name', 80).notNullable()
    t.string('created_by', 40).notNullable()
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('expires_at_ms')
    t.integer('max_uses')
    t.integer('uses').notNullable()
    t.bigInteger('last_used_at_ms')
  })
  await db.schema.createTable('guests', (t) => {
    t.string('hash', 64).primary()
    t.string('root_hash', 64).notNullable().index()
    t.string('workspace_id', 40).notNullable().references('workspaces.id').onDelete('CASCADE').index()
    t.string('label', 63).notNullable()
    t.string('link_id', 40).references('links.id').onDelete('CASCADE').index()
    t.integer('slides').notNullable()
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('last_used_at_ms').notNullable()
    t.bigInteger('expires_at_ms').notNullable().index()
    t.bigInteger('ends_at_ms').notNullable()
    t.string('ip', 64).notNullable()
    t.string('user_agent', 400).notNullable()
  })
  await db.schema.createTable('workspace_passwords', (t) => {
    t.string('version', 40).primary()
    t.string('workspace_id', 40).notNullable().references('workspaces.id').onDelete('CASCADE')
    // 0: the whole workspace. NULL would not be unique.
    t.integer('port').notNullable()
    t.string('hash', 400).notNullable()
    t.bigInteger('set_at_ms').notNullable()
    t.unique(['workspace_id', 'port'])
  })
  await db.schema.createTable('passes', (t) => {
    t.string('holder_hash', 64).notNullable()
    t.string('version', 40)
      .notNullable()
      .references('workspace_passwords.version')
      .onDelete('CASCADE')
      .index()
    t.bigInteger('given_at_ms').notNullable()
    t.primary(['holder_hash', 'version'])
  })
}
