/** Keys that statements on who a visitor is are signed by; the private parts sealed. */
import type { Knex } from 'knex'

/** Makes their table. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('signing_keys', (t) => {
    t.string('kid', 64).primary()
    t.string('x', 64).notNullable()
    t.text('sealed').notNullable()
    t.bigInteger('signs_from_ms').notNullable()
  })
}
