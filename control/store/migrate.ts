/**
 * Brings a database to this version in one transaction, so that a crash in the middle leaves the old version and no
 * stale lock behind (which is why this is not knex's own migrator). Two servers that start at once take turns.
 */
import type { Knex } from 'knex'
import { StartError } from '../start-error.ts'
import { migrations } from './migrations/index.ts'

/** Any constant that no other program on the same PostgreSQL database is likely to choose. */
const LOCK = 7_305_884_019

/** @throws StartError database_newer when a migration was applied that this version does not know. */
export async function migrate(db: Knex, dialect: 'sqlite' | 'postgres'): Promise<void> {
  await db.transaction(async (tx) => {
    if (dialect === 'postgres') await tx.raw('SELECT pg_advisory_xact_lock(?)', [LOCK])
    if (!(await tx.schema.hasTable('migrations')))
      await tx.schema.createTable('migrations', (t) => {
        t.string('name', 80).primary()
      })
    const applied = (await tx<{ name: string }>('migrations').select('name')).map((row) => row.name)
    const known = new Set(migrations.map((migration) => migration.name))
    const unknown = applied.filter((name) => !known.has(name))
    if (unknown.length > 0)
      throw new StartError(
        'database_newer',
        `the database was written by a newer version (${unknown.join(', ')})`,
      )
    for (const migration of migrations.filter(({ name }) => !applied.includes(name))) {
      await migration.up(tx)
      await tx('migrations').insert({ name: migration.name })
    }
  })
}
