/** Groups of people, grants to people and groups, and workspaces that a group owns. */
import type { Knex } from 'knex'

/** Makes their tables. Whom and what a grant names is held by the services: its objects are of four kinds. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('groups', (t) => {
    t.string('id', 40).primary()
    t.string('name', 80).notNullable().unique()
    t.bigInteger('created_at_ms').notNullable()
  })
  await db.schema.createTable('group_members', (t) => {
    t.string('group_id', 40).notNullable().references('groups.id').onDelete('CASCADE')
    t.string('user_id', 40).notNullable().references('users.id').onDelete('CASCADE').index()
    t.string('source', 80).notNullable()
    t.primary(['group_id', 'user_id', 'source'])
  })
  await db.schema.createTable('grants', (t) => {
    t.string('id', 40).primary()
    t.string('subject_kind', 10).notNullable()
    t.string('subject_id', 40).notNullable()
    t.string('object_kind', 10).notNullable()
    t.string('object_id', 255).notNullable()
    t.string('role', 10).notNullable()
    t.text('ports')
    t.text('capabilities').notNullable()
    t.bigInteger('expires_at_ms').index()
    t.text('reason')
    t.string('created_by', 40).notNullable()
    t.bigInteger('created_at_ms').notNullable()
    t.index(['object_kind', 'object_id'])
    t.index(['subject_kind', 'subject_id'])
  })
  await db.schema.alterTable('workspaces', (t) => {
    t.string('owner_group_id', 40).index()
  })
}
