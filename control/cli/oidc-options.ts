/** The file's `oidc_providers` comes in; providers as control takes them come out, or every problem with its key. */
import { readFileSync } from 'node:fs'
import type { OidcProvider } from '../seams.ts'
import { type Role, roles } from '../wire/index.ts'
import type { OptionTable } from './options.ts'
import {
  readDomain,
  readDuration,
  readHttpUrl,
  readList,
  readMapping,
  readOneOf,
  readPath,
  readText,
} from './option-values.ts'

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/
/** What a sign-in says itself: an operator's parameter must not change it. */
const OURS =
  /^(client_id|client_secret|redirect_uri|response_type|response_mode|scope|state|nonce|code_.*|request.*)$/

const OTHER_WAYS = new Set(['password', 'setup', 'reset', 'invitation', 'link'])

const keys = [
  'id',
  'name',
  'issuer',
  'client_id',
  'client_secret',
  'client_secret_file',
  'scopes',
  'parameters',
  'groups_claim',
  'roles',
  'groups',
  'allow',
  'link_by_verified_email',
  'session_length',
] as const
type Key = (typeof keys)[number]

type Entry = Readonly<Record<string, unknown>>

function readId(raw: unknown): string {
  const text = readText(raw)
  if (!/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/.test(text))
    throw new Error(`${JSON.stringify(raw)} is not an id: small letters, digits and hyphens, at most 40`)
  // Sessions say by what they were signed in.
  if (OTHER_WAYS.has(text)) throw new Error(`${text} is another way to sign in; choose another id`)
  return text
}

function readIssuer(raw: unknown): string {
  readHttpUrl(raw)
  // As written: an issuer is compared byte by byte, a slash at its end included.
  const text = readText(raw)
  const url = new URL(text)
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname))
    throw new Error(`${text} must be https; plain http is taken on loopback only`)
  return text
}

function readSecret(entry: Entry): string | null {
  const { client_secret: text, client_secret_file: file } = entry
  if (text != null && file != null) throw new Error('give client_secret or client_secret_file, not both')
  if (text != null) return readText(text)
  if (file == null) return null
  const path = readPath(file)
  let content: string
  try {
    content = readFileSync(path, 'utf8').trim()
  } catch (cause) {
    throw new Error(`client_secret_file: ${path} cannot be read by this user`, { cause })
  }
  if (content === '') throw new Error(`client_secret_file: ${path} is empty`)
  return content
}

function readScopes(raw: unknown): readonly string[] {
  const scopes = readList(raw)
  if (!scopes.includes('openid')) throw new Error('needs openid among them')
  return scopes
}

function readFlag(raw: unknown): boolean {
  if (typeof raw !== 'boolean') throw new Error(`${JSON.stringify(raw)} is neither true nor false`)
  return raw
}

/** A mapping whose values are read by `read`. */
const mapOf =
  <T>(read: (raw: unknown) => T) =>
  (raw: unknown): Readonly<Record<string, T>> =>
    Object.fromEntries(Object.entries(readMapping(raw)).map(([key, value]) => [key, read(value)]))

function readParameters(raw: unknown): Readonly<Record<string, string>> {
  const parameters = mapOf(readText)(raw)
  const own = Object.keys(parameters).find((name) => OURS.test(name))
  if (own !== undefined) throw new Error(`${own} is set by Postern itself`)
  return parameters
}

function readGroupName(raw: unknown): string {
  const text = readText(raw)
  if (!/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$/.test(text))
    throw new Error(`${JSON.stringify(raw)} is not a group’s name: letters, digits, blank, . _ -, at most 60`)
  return text
}

function readAllow(raw: unknown): OidcProvider['allow'] {
  if (raw === 'invitation') return { domains: [], groups: [], invitation: true }
  const given = readMapping(raw)
  const unknown = Object.keys(given).find((key) => !['domains', 'groups', 'invitation'].includes(key))
  if (unknown !== undefined)
    throw new Error(
      `${unknown}: there is no such key; use domains, groups, invitation, or the word invitation`,
    )
  return {
    domains: given['domains'] == null ? [] : readList(given['domains']).map(readDomain),
    groups: given['groups'] == null ? [] : readList(given['groups']),
    invitation: given['invitation'] == null ? false : readFlag(given['invitation']),
  }
}

function readEntry(raw: unknown, place: string, problems: string[]): OidcProvider | null {
  const before = problems.length
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    problems.push(`${place}: needs keys and values, such as \`id: keycloak\``)
    return null
  }
  const entry = raw as Entry
  for (const key of Object.keys(entry))
    if (!keys.includes(key as Key))
      problems.push(`${place}.${key}: there is no such key; known: ${keys.join(', ')}`)
  const at = <T, D = never>(key: Key, read: (raw: unknown) => T, ...otherwise: [D] | []): T | D => {
    const value = entry[key]
    try {
      if (value !== undefined && value !== null) return read(value)
      if (otherwise.length === 0) throw new Error('is needed')
    } catch (err) {
      problems.push(`${place}.${key}: ${(err as Error).message}`)
    }
    return otherwise[0] as D
  }
  let clientSecret: string | null = null
  try {
    clientSecret = readSecret(entry)
  } catch (err) {
    problems.push(`${place}: ${(err as Error).message}`)
  }
  const id = at('id', readId)
  const roleMap = at('roles', mapOf<Role>(readOneOf(...roles)), null)
  const groups = at('groups', mapOf(readGroupName), {})
  const allow = at('allow', readAllow, { domains: [], groups: [], invitation: false })
  const needsClaim = roleMap !== null || Object.keys(groups).length + allow.groups.length > 0
  const provider: OidcProvider = {
    id,
    name: at('name', readText, id),
    issuer: at('issuer', readIssuer),
    clientId: at('client_id', readText),
    clientSecret,
    scopes: at('scopes', readScopes, ['openid', 'profile', 'email']),
    parameters: at('parameters', readParameters, {}),
    groupsClaim: at('groups_claim', readText, needsClaim ? 'groups' : null),
    roles: roleMap,
    groups,
    allow,
    linkByVerifiedEmail: at('link_by_verified_email', readFlag, false),
    sessionMs: at('session_length', readDuration, null),
  }
  if (provider.sessionMs !== null && provider.sessionMs < 60_000)
    problems.push(`${place}.session_length: needs a minute or more`)
  return problems.length === before ? provider : null
}

/** A list of providers, their ids all different. @throws Error with every problem */
export function readOidcProviders(raw: unknown): readonly OidcProvider[] {
  if (!Array.isArray(raw)) throw new Error('needs a list, each beginning with `- id: …`')
  const problems: string[] = []
  const providers = raw.flatMap((each, index) => readEntry(each, `[${index}]`, problems) ?? [])
  const ids = providers.map(({ id }) => id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) problems.push(`id: ${twice} is there twice`)
  if (problems.length > 0) throw new Error(problems.join('; '))
  return providers
}

export const oidcOptions = {
  'oidc-providers': {
    describe: 'Where people may sign in by OpenID Connect, as the README’s section on it says',
    from: 'file',
    defaultDescription: 'none: passwords only',
    read: readOidcProviders,
  },
} as const satisfies OptionTable
