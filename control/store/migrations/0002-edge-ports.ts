/**
 * Ports say how the edge speaks to them, a workspace may compose its default host of paths, and the generation that
 * its program was made for is kept beside the spec's own: what only the edge reads restarts nothing.
 */
import type { Knex } from 'knex'

interface Row {
  readonly id: string
  readonly generation: number
  readonly spec: string
  readonly resolved: string
}

const DEFAULTS = {
  visibility: 'owner',
  lenient: false,
  hostHeader: 'public',
  scheme: 'http',
  cors: 'siblings',
}

type Shape = { ports: object[] | null }

const withEdgePorts = (text: string, paths: null | []): string => {
  const shape = JSON.parse(text) as Shape
  const ports = shape.ports === null ? null : shape.ports.map((port) => ({ ...DEFAULTS, ...port }))
  return JSON.stringify({ ...shape, ports, paths })
}

/** Fills in what all workspaces have had until now. */
export async function up(db: Knex): Promise<void> {
  await db.schema.alterTable('workspaces', (t) => {
    t.integer('program_generation').notNullable().defaultTo(1)
  })
  for (const row of await db<Row>('workspaces').select('id', 'generation', 'spec', 'resolved'))
    await db('workspaces')
      .where({ id: row.id })
      .update({
        program_generation: row.generation,
        spec: withEdgePorts(row.spec, null),
        resolved: withEdgePorts(row.resolved, []),
      })
}
