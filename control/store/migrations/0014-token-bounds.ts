/** Tokens of one workspace and some of its ports, and by which token a token was made. */
import type { Knex } from 'knex'

/** All tokens so far are bound to nothing, and were made by their users. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('tokens', (t) => {
    t.string('workspace_id', 40).index()
    t.text('ports')
    t.string('parent_id', 40).index()
  })
}
