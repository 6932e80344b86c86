// A visit to a workspace host comes in; the flow that this browser remembers there comes out, and new ones go back to it.
import type { NewSession } from '../../control/wire/index.ts'
import { cookieValue } from '../headers/cookies.ts'
import type { Visit } from '../edge.ts'
import type { WorkspacePlace } from '../host/host.ts'
import { cookiesOfPlace } from '../host/site.ts'
import { setCookie } from './cookie.ts'
import { type Flow, openFlow, seal, sealFlow, unseal } from './flow.ts'

/** The flow of a browser on a workspace host; null: none of ours, or too old. */
export function flowOf(visit: Visit, place: WorkspacePlace): Flow | null {
  const { edge, scan } = visit
  const value = cookieValue(scan.cookie, cookiesOfPlace(edge.site, place).flow)
  return openFlow(edge.flowKey, place.label, value, edge.now())
}

/** The header field that makes the browser remember a flow for so many seconds. */
export function flowCookie(visit: Visit, place: WorkspacePlace, flow: Flow, seconds: number): string[] {
  const { edge } = visit
  const { flow: name, path } = cookiesOfPlace(edge.site, place)
  return setCookie(edge.site, name, sealFlow(edge.flowKey, place.label, flow), seconds, path)
}

/** The header fields of the workspace's own session, on its host or by path. */
export function workspaceCookie(visit: Visit, place: WorkspacePlace, session: NewSession): string[] {
  const { site } = visit.edge
  const seconds = (session.expiresAtMs - visit.edge.now()) / 1000
  const { session: name, path } = cookiesOfPlace(site, place)
  return [
    ...setCookie(site, name, session.token, seconds, path),
    ...forgetting(visit, place, session.reusedAtMs),
  ]
}

/** As long as browsers keep a cookie. */
const RENEWED_SECONDS = 400 * 86_400

/**
 * Where the name was another owner's before, the first session of a browser makes it forget what that one's app left
 * there: a service worker would see all that the new app's visitors do. Once for a browser: what the new app stores
 * stays. A mark that the old app made up is none: it is sealed, for this label, and names a time that came after it. By
 * path that is what all workspaces have stored there, since each could have been reached.
 */
function forgetting(visit: Visit, place: WorkspacePlace, reusedAtMs: number | undefined): string[] {
  if (reusedAtMs === undefined) return []
  const { edge, scan } = visit
  const { renewed, path } = cookiesOfPlace(edge.site, place)
  const sealedAs = `renewed ${place.label}`
  const mark = unseal(edge.flowKey, sealedAs, cookieValue(scan.cookie, renewed))
  if (mark !== null && Number(mark) >= reusedAtMs) return []
  return [
    'Clear-Site-Data',
    '"cache", "storage"',
    ...setCookie(edge.site, renewed, seal(edge.flowKey, sealedAs, String(reusedAtMs)), RENEWED_SECONDS, path),
  ]
}
