/** Sessions say by what they were signed in. */
import type { Knex } from 'knex'

/** All until now were signed in by password. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('sessions', (t) => {
    t.string('via', 80).notNullable().defaultTo('password')
  })
}
