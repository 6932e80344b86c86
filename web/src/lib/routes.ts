/** Every place of the dashboard and its URL: path in, place out, and back. */

export type WorkspaceTab = 'overview' | 'sharing' | 'settings'
export type SettingsPart = 'account' | 'sessions' | 'tokens' | 'sharing'

export type Place =
  | { readonly page: 'workspaces' }
  | { readonly page: 'new' }
  | { readonly page: 'workspace'; readonly name: string; readonly tab: WorkspaceTab }
  | { readonly page: 'trash' }
  | { readonly page: 'templates' }
  | { readonly page: 'template'; readonly name: string }
  | { readonly page: 'hosts' }
  | { readonly page: 'host'; readonly name: string }
  | { readonly page: 'people' }
  | { readonly page: 'requests' }
  | { readonly page: 'audit' }
  | { readonly page: 'hooks' }
  | { readonly page: 'groups' }
  | { readonly page: 'settings'; readonly part: SettingsPart }
  | { readonly page: 'unknown' }

export type Activity = 'workspaces' | 'templates' | 'hosts' | 'people' | 'requests' | 'audit' | 'settings'

const settingsParts: readonly string[] = ['account', 'sessions', 'tokens', 'sharing'] satisfies SettingsPart[]

function decoded(segment: string): string | null {
  try {
    return decodeURIComponent(segment)
  } catch {
    return null
  }
}

function deepPlace(head: string | undefined, second: string, third: string | undefined): Place {
  if (head === 'workspaces' && (third === undefined || third === 'sharing' || third === 'settings'))
    return { page: 'workspace', name: second, tab: third ?? 'overview' }
  if (head === 'templates' && third === undefined) return { page: 'template', name: second }
  if (head === 'hosts' && third === undefined) return { page: 'host', name: second }
  if (head === 'settings' && third === undefined && settingsParts.includes(second))
    return { page: 'settings', part: second as SettingsPart }
  return { page: 'unknown' }
}

/** The place of a path; `unknown` for a path that is none. `/` is the list of workspaces. */
export function placeOf(path: string): Place {
  const parts = path.split('/').filter((s) => s !== '')
  const [head, rawSecond, third] = parts
  if (parts.length > 3) return { page: 'unknown' }
  if (rawSecond !== undefined) {
    const second = decoded(rawSecond)
    return second === null ? { page: 'unknown' } : deepPlace(head, second, third)
  }
  switch (head) {
    case undefined:
    case 'workspaces':
      return { page: 'workspaces' }
    case 'new':
    case 'trash':
    case 'templates':
    case 'hosts':
    case 'people':
    case 'requests':
    case 'audit':
    case 'hooks':
    case 'groups':
      return { page: head }
    case 'settings':
      return { page: 'settings', part: 'account' }
    default:
      return { page: 'unknown' }
  }
}

/** The path of a place. */
export function hrefOf(place: Exclude<Place, { page: 'unknown' }>): string {
  switch (place.page) {
    case 'workspace':
      return `/workspaces/${encodeURIComponent(place.name)}${place.tab === 'overview' ? '' : `/${place.tab}`}`
    case 'template':
      return `/templates/${encodeURIComponent(place.name)}`
    case 'host':
      return `/hosts/${encodeURIComponent(place.name)}`
    case 'settings':
      return `/settings/${place.part}`
    default:
      return `/${place.page}`
  }
}

/** Which activity of the shell a place belongs to. */
export function activityOf(place: Place): Activity {
  switch (place.page) {
    case 'templates':
    case 'people':
    case 'requests':
    case 'settings':
      return place.page
    case 'template':
      return 'templates'
    case 'audit':
    case 'hooks':
      return 'audit'
    case 'groups':
      return 'people'
    case 'hosts':
    case 'host':
      return 'hosts'
    default:
      return 'workspaces'
  }
}

/** What the window's title says. */
export function titleOf(place: Place): string {
  const names: Record<Exclude<Place['page'], 'workspace' | 'host' | 'template'>, string> = {
    workspaces: 'Workspaces',
    new: 'New workspace',
    trash: 'Trash',
    templates: 'Templates',
    hosts: 'Hosts',
    people: 'People',
    requests: 'Requests',
    audit: 'Audit',
    hooks: 'Webhooks',
    groups: 'Groups',
    settings: 'Settings',
    unknown: 'Not found',
  }
  const name = 'name' in place ? place.name : names[place.page]
  return `${name} · Postern`
}
