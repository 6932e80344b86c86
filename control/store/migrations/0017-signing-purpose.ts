/** What each signing key is for: those of gateways' tokens stay here, those of assertions go to gateways. */
import type { Knex } from 'knex'

/** Adds the column; keys that are there sign assertions. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('signing_keys', (t) => {
    t.string('purpose', 16).notNullable().defaultTo('assertion')
  })
}
