/** How many deliveries of a hook were given up. */
import type { Knex } from 'knex'

/** Adds the column. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('hooks', (t) => {
    t.bigInteger('dropped').notNullable().defaultTo(0)
  })
}
