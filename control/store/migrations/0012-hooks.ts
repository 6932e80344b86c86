/** Webhooks, and what is to be delivered to them: it outlives restarts. */
import type { Knex } from 'knex'

/** Makes their tables. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('hooks', (t) => {
    t.string('id', 40).primary()
    t.string('name', 80).notNullable()
    t.string('url', 2000).notNullable()
    t.text('events').notNullable()
    t.integer('enabled').notNullable()
    t.text('secret').notNullable()
    t.bigInteger('created_at_ms').notNullable()
  })
  await db.schema.createTable('deliveries', (t) => {
    t.bigIncrements('seq')
    t.string('id', 40).notNullable().unique()
    t.string('hook_id', 40).notNullable().references('hooks.id').onDelete('CASCADE')
    t.string('event', 40).notNullable()
    t.text('body').notNullable()
    t.string('state', 12).notNullable()
    t.integer('attempts').notNullable()
    t.bigInteger('next_at_ms').notNullable()
    t.string('claim', 40)
    t.bigInteger('claimed_until_ms').notNullable()
    t.integer('status')
    t.string('error', 300).notNullable()
    t.text('answer').notNullable()
    t.bigInteger('created_at_ms').notNullable()
    t.bigInteger('ended_at_ms')
    t.index(['state', 'next_at_ms'])
    t.index(['hook_id', 'seq'])
    t.index(['state', 'ended_at_ms'])
  })
}
