/** Who did what. Nothing in it refers to other tables: it stays when what it tells of is gone. */
import type { Knex } from 'knex'

/** Makes its table. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('audit', (t) => {
    t.bigIncrements('id')
    t.bigInteger('at_ms').notNullable().index()
    t.string('actor_kind', 12).notNullable()
    t.string('actor_id', 40).notNullable()
    t.string('actor_name', 80).notNullable()
    t.string('via_kind', 12).notNullable()
    t.string('via_id', 40).notNullable()
    t.string('action', 40).notNullable()
    t.string('object_kind', 20).notNullable()
    t.string('object_id', 64).notNullable()
    t.string('object_name', 120).notNullable()
    t.string('workspace_id', 40)
    t.string('owner_id', 40)
    t.string('outcome', 40).notNullable()
    t.integer('count').notNullable()
    t.string('ip', 64).notNullable()
    t.string('user_agent', 200).notNullable()
    t.string('request_id', 64).notNullable()
    t.text('details').notNullable()
    t.index(['actor_id', 'id'])
    t.index(['object_id', 'id'])
    t.index(['workspace_id', 'id'])
    t.index(['owner_id', 'id'])
    t.index(['action', 'id'])
    t.index(['outcome', 'id'])
  })
}
