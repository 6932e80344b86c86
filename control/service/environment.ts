/** Environment entries as users give them go in; they come out as they are stored, secrets sealed. */
import type { Vault } from '../credentials/secrets.ts'
import type { StoredEnv } from '../lifecycle/spec.ts'
import { ApiError } from '../wire/index.ts'
import type { FieldProblem } from '../wire/index.ts'

interface GivenEnv {
  readonly name: string
  /** Absent: what is stored under the name stays. */
  readonly value?: string | undefined
  readonly secret?: boolean | undefined
}

/** @throws ApiError invalid_body for a name given twice, and for a new entry without a value */
export function sealEnv(
  vault: Vault,
  workspaceId: string,
  given: readonly GivenEnv[],
  stored: readonly StoredEnv[],
): StoredEnv[] {
  const known = new Map(stored.map((entry) => [entry.name, entry]))
  const seen = new Set<string>()
  const errors: FieldProblem[] = []
  const sealed: StoredEnv[] = []
  given.forEach(({ name, value, secret }, index) => {
    if (seen.has(name)) errors.push({ path: `env.${index}.name`, message: 'is given twice' })
    seen.add(name)
    const kept = known.get(name)
    if (value !== undefined) {
      const isSecret = secret ?? false
      sealed.push({
        name,
        value: isSecret ? vault.seal({ workspaceId, name }, value) : value,
        secret: isSecret,
      })
    } else if (kept === undefined) errors.push({ path: `env.${index}.value`, message: 'is needed' })
    else if (kept.secret && secret === false)
      errors.push({ path: `env.${index}.value`, message: 'is needed to make it no secret any more' })
    else if (!kept.secret && secret === true)
      sealed.push({ name, value: vault.seal({ workspaceId, name }, kept.value), secret: true })
    else sealed.push(kept)
  })
  if (errors.length > 0) throw new ApiError('invalid_body', undefined, { errors })
  return sealed
}
