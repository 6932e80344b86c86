/** A path comes in; the mapping that the YAML file there holds comes out. */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseDocument } from 'yaml'
import { envName } from './config.ts'
import { readPath } from './option-values.ts'
import { StartupError } from './startup-error.ts'

/** The file that is read where none is named: `$XDG_CONFIG_HOME/postern/config.yml`. */
export function defaultConfigPath(env: Readonly<Record<string, string | undefined>>): string {
  return join(env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'postern', 'config.yml')
}

/** Reads the named file, or the default one if it is there. @throws StartupError config_unreadable, config_invalid */
export async function loadConfigFile(
  named: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ file: Readonly<Record<string, unknown>>; fileName: string }> {
  const chosen = named ?? (env[envName('config')] || undefined)
  const fileName = chosen === undefined ? defaultConfigPath(env) : readPath(chosen)
  let text: string
  try {
    text = await readFile(fileName, 'utf8')
  } catch (cause) {
    if (chosen === undefined && (cause as NodeJS.ErrnoException).code === 'ENOENT')
      return { file: {}, fileName }
    throw new StartupError('config_unreadable', {
      message: `${fileName} cannot be read.`,
      next: 'Name another file with --config, or let this user read it.',
      cause,
    })
  }
  return { file: parseMapping(text, fileName), fileName }
}

function parseMapping(text: string, fileName: string): Readonly<Record<string, unknown>> {
  const document = parseDocument(text, { prettyErrors: true })
  const problems = document.errors.map((err) => `${fileName}: ${err.message.trim()}`)
  const value: unknown = problems.length > 0 ? null : document.toJS()
  if (problems.length === 0 && value !== null && (typeof value !== 'object' || Array.isArray(value)))
    problems.push(`${fileName}: needs keys and values, such as \`listen: 127.0.0.1:8090\``)
  if (problems.length > 0)
    throw new StartupError('config_invalid', { problems, next: 'Mend the file; it is YAML.' })
  return (value ?? {}) as Record<string, unknown>
}
