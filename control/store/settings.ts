/** The settings of the deployment at rest: a name and a value each; what nobody set has its default. */
import { visibilitySchema } from '../wire/index.ts'
import type { Settings } from '../wire/index.ts'
import { readFact, replaceFact } from './facts.ts'
import type { Db } from './open.ts'

/** What is set; a value that isn't known here opens nothing. */
export async function readSettings(db: Db): Promise<Settings> {
  const cap = await readFact(db, 'max_visibility')
  return { maxVisibility: cap === null ? 'public' : visibilitySchema.catch('owner').parse(cap) }
}

export async function writeSettings(db: Db, settings: Settings): Promise<void> {
  await replaceFact(db, 'max_visibility', settings.maxVisibility)
}
