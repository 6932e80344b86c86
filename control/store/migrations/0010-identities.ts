/** Whom a provider's subject is here, and what is held of the sign-ins at providers that last. */
import type { Knex } from 'knex'

/** Makes their tables. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('identities', (t) => {
    t.string('provider', 40).notNullable()
    t.string('issuer', 255).notNullable()
    t.string('subject', 255).notNullable()
    t.string('user_id', 40).notNullable().references('users.id').onDelete('CASCADE').index()
    t.bigInteger('created_at_ms').notNullable()
    t.primary(['provider', 'issuer', 'subject'])
    t.unique(['provider', 'user_id'])
  })
  await db.schema.createTable('provider_sessions', (t) => {
    t.string('session_hash', 64).primary().references('sessions.hash').onDelete('CASCADE')
    t.string('provider', 40).notNullable()
    t.string('subject', 255).notNullable()
    t.text('id_token').notNullable()
    t.text('refresh_token')
    t.bigInteger('refresh_at_ms').index()
    t.integer('fixed_end').notNullable()
  })
}
