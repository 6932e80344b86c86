/** Hosts, templates and images that only who holds a grant may use. */
import type { Knex } from 'knex'

/** Makes their table: absent means open to all. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('restrictions', (t) => {
    t.string('object_kind', 10).notNullable()
    t.string('object_id', 255).notNullable()
    t.primary(['object_kind', 'object_id'])
  })
}
