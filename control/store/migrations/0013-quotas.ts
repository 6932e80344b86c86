/** Quotas of users and groups; what a workspace takes of them is summed up by the database. */
import type { Knex } from 'knex'

interface Row {
  readonly id: string
  readonly resolved: string
}

/** Makes the table, and fills in what all workspaces take. */
export async function up(db: Knex): Promise<void> {
  await db.schema.createTable('quotas', (t) => {
    t.string('subject_kind', 10).notNullable()
    t.string('subject_id', 40).notNullable()
    t.integer('max_workspaces')
    t.integer('max_running')
    t.bigInteger('cpu_millis')
    t.bigInteger('memory_bytes')
    t.primary(['subject_kind', 'subject_id'])
  })
  await db.schema.alterTable('workspaces', (t) => {
    t.integer('cpu_millis').notNullable().defaultTo(0)
    t.bigInteger('memory_bytes').notNullable().defaultTo(0)
  })
  for (const { id, resolved } of await db<Row>('workspaces').select('id', 'resolved')) {
    const { cpu, memoryBytes } = JSON.parse(resolved) as { cpu: number; memoryBytes: number }
    await db('workspaces')
      .where({ id })
      .update({ cpu_millis: Math.round(cpu * 1000), memory_bytes: memoryBytes })
  }
}
