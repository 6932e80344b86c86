// A visit to a workspace host comes in; the flow that this browser remembers there comes out, and new ones go back to it.
import { cookieValue } from '../cookies.ts'
import type { Visit } from '../edge.ts'
import type { WorkspacePlace } from '../host.ts'
import { setCookie } from './cookie.ts'
import { type Flow, openFlow, sealFlow } from './flow.ts'

/** The flow of a browser on a workspace host; null: none of ours, or too old. */
export function flowOf(visit: Visit, place: WorkspacePlace): Flow | null {
  const { edge, scan } = visit
  const value = cookieValue(scan.cookie, edge.site.cookies.flow)
  return openFlow(edge.flowKey, place.label, value, edge.now())
}

/** The header field that makes the browser remember a flow for so many seconds. */
export function flowCookie(visit: Visit, place: WorkspacePlace, flow: Flow, seconds: number): string[] {
  const { edge } = visit
  return setCookie(edge.site, edge.site.cookies.flow, sealFlow(edge.flowKey, place.label, flow), seconds)
}

/** The header field of the workspace host's own session. */
export function workspaceCookie(
  visit: Visit,
  session: { readonly token: string; readonly expiresAtMs: number },
): string[] {
  const { site } = visit.edge
  const seconds = (session.expiresAtMs - visit.edge.now()) / 1000
  return setCookie(site, site.cookies.workspace, session.token, seconds)
}
