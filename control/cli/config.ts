/** Flags, environment and file come in; typed, frozen values come out, or every problem at once. */
import { optionTables, type OptionRow, type OptionTable, type Values } from './options.ts'
import { StartupError } from './startup-error.ts'

/** What a person gave, by door; file keys have underscores, flags hyphens, variables `POSTERN_` and capitals. */
export interface Given {
  readonly flags: Readonly<Record<string, unknown>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly file: Readonly<Record<string, unknown>>
  /** For messages. */
  readonly fileName: string
}

/** `public-url` → `POSTERN_PUBLIC_URL` */
export const envName = (option: string) => `POSTERN_${option.replaceAll('-', '_').toUpperCase()}`
/** `public-url` → `public_url` */
export const fileKey = (option: string) => option.replaceAll('-', '_')
const camel = (option: string) => option.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** Flag beats environment beats file beats default. @throws StartupError config_invalid with all problems. */
export function resolveConfig<const T extends OptionTable>(table: T, given: Given): Values<T> {
  const problems = unknownKeys(given)
  const values: Record<string, unknown> = {}
  for (const [name, row] of Object.entries(table)) {
    const found = findRaw(name, row, given)
    try {
      if (Array.isArray(found?.raw) && row.array !== true && row.from !== 'file')
        throw new Error('is given more than once')
      values[camel(name)] = found === undefined ? null : row.read(found.raw)
    } catch (err) {
      problems.push(`${found?.where ?? name}: ${(err as Error).message}`)
    }
  }
  if (problems.length > 0)
    throw new StartupError('config_invalid', {
      problems,
      next: 'Mend what is listed; `postern --help` and the README name every option.',
    })
  return Object.freeze(values) as Values<T>
}

function findRaw(name: string, row: OptionRow, given: Given): { raw: unknown; where: string } | undefined {
  const from = row.from ?? 'any'
  const flag = given.flags[name]
  if (from === 'any' && flag !== undefined) return { raw: flag, where: `--${name}` }
  const variable = given.env[envName(name)]
  // An empty variable is how compose files write "not set".
  if (from !== 'file' && variable !== undefined && variable !== '')
    return { raw: variable, where: envName(name) }
  const line = given.file[fileKey(name)]
  if (line !== undefined && line !== null) return { raw: line, where: `${given.fileName}: ${fileKey(name)}` }
  if (row.initial === undefined) return undefined
  return { raw: typeof row.initial === 'string' ? row.initial : row.initial(), where: name }
}

/** One file may serve several commands, so a key is unknown only where no command has it. */
function unknownKeys(given: Given): string[] {
  const known = new Set(Object.values(optionTables).flatMap((table) => Object.keys(table).map(fileKey)))
  return Object.keys(given.file)
    .filter((key) => !known.has(key))
    .map((key) => {
      const meant = fileKey(key)
      const hint = known.has(meant) ? `; did you mean ${meant}?` : ''
      return `${given.fileName}: ${key}: there is no such key${hint}`
    })
}
