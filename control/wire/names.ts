/**
 * The grammar of names: workspace names, aliases and the host labels made of them.
 *
 *   label     = name | name "-" port
 *   name      = [a-z0-9] ( [a-z0-9-]* [a-z0-9] )?     at most 40 characters, never ending in "-" digits
 *   port      = [1-9] [0-9]{0,4}, at most 65535
 *
 * In path mode a workspace has no host; what its sessions there are bound to is its path, which is no host label:
 *
 *   path label = "/dev/" name
 */

export const NAME_MAX_LENGTH = 40

/** An alias has at least so many characters. */
export const ALIAS_MIN_LENGTH = 2
/** Aliases of one workspace. */
export const ALIASES_MAX = 16

/**
 * Names that hosts of a deployment need for themselves, and those that programs look for by themselves under the domain of
 * their machine or mail (WPAD, RFC 5214, RFC 8461): an app there would be asked for everybody's proxy or mail settings.
 */
export const RESERVED_NAMES: ReadonlySet<string> = new Set([
  'admin',
  'api',
  'app',
  'apps',
  'auth',
  'autoconfig',
  'autodiscover',
  'dashboard',
  'help',
  'isatap',
  'localhost',
  'login',
  'mail',
  'mta-sts',
  'postern',
  'root',
  'setup',
  'sign-in',
  'static',
  'status',
  'support',
  'system',
  'wpad',
  'www',
  'ws',
])

export type NameProblem = 'empty' | 'too_long' | 'characters' | 'looks_like_port' | 'reserved'

/** What is wrong with a proposed workspace name or alias, or null. */
export function nameProblem(name: string): NameProblem | null {
  if (name.length === 0) return 'empty'
  if (name.length > NAME_MAX_LENGTH) return 'too_long'
  if (!/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(name) || name.startsWith('xn--')) return 'characters'
  if (/-[0-9]+$/.test(name)) return 'looks_like_port'
  if (RESERVED_NAMES.has(name)) return 'reserved'
  return null
}

const PATH_LABEL = '/dev/'

/** What a session of path mode is bound to, such as `/dev/shop`. */
export const pathLabelOf = (name: string): string => PATH_LABEL + name

/** The name in a label: without the port, if there is one. */
export const nameOfLabel = (label: string): string =>
  label.startsWith(PATH_LABEL) ? label.slice(PATH_LABEL.length) : label.replace(/-[0-9]+$/, '')

/** What is wrong with a proposed alias, as a sentence for a person; null: nothing. */
export function aliasProblem(alias: string): string | null {
  if (alias.length === 1) return `An alias has at least ${ALIAS_MIN_LENGTH} characters.`
  const problem = nameProblem(alias)
  return problem === null ? null : nameProblemText[problem]
}

/** A sentence for a person, for each problem. */
export const nameProblemText: Record<NameProblem, string> = {
  empty: 'A name has at least one character.',
  too_long: `A name has at most ${NAME_MAX_LENGTH} characters.`,
  characters: 'A name has small letters, digits and hyphens, and begins and ends with a letter or digit.',
  looks_like_port: 'A name may not end in a hyphen and digits: that would read as a port.',
  reserved: 'This name is kept for Postern itself.',
}
