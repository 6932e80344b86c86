// A path of the dashboard's host that names a workspace (`/dev/<workspace>/ide/…`) comes in; where it is served goes out.
import { type EdgeUser, paths } from '../../control/wire/index.ts'
import { answerCode, sendRedirect, wantsPage } from '../pages/answer.ts'
import { dashboardIdentity } from '../dashboard.ts'
import type { Visit } from '../edge.ts'
import { isLocalPath, placeOfLabel, type WorkspacePlace } from '../host/host.ts'
import { notFoundCard } from '../pages/cards.ts'
import { pathTarget } from '../host/path.ts'
import { urlOfPlace, workspaceOrigin } from '../host/site.ts'
import { isTopLevel } from './top-level.ts'
import { usable } from './usable.ts'

/** What such a path names, and the rest of it; null: nothing. */
function named(target: string): { readonly place: WorkspacePlace; readonly rest: string } | null {
  const match = /^\/dev\/([a-z0-9-]{1,63})\/ide(?![^/?])(.*)$/.exec(target)
  if (match === null) return null
  const place = placeOfLabel(match[1] as string)
  const rest = match[2] as string
  return place === null ? null : { place, rest: rest.startsWith('/') ? rest : `/${rest}` }
}

/** Where path mode serves it to that person; null: nowhere. */
function addressByPath(visit: Visit, user: EdgeUser): string | null {
  const { site } = visit.edge
  const asked = pathTarget(visit.target)
  if (site.paths === null || asked.kind !== 'app' || usable(visit, asked.place, user) === null) return null
  return urlOfPlace(site, asked.place) + (isLocalPath(asked.target) ? asked.target : '/')
}

/**
 * Sends who may use the workspace to its own host, or where path mode is on its owner to the origin of that: nothing of
 * a workspace is served from the dashboard's origin. What isn't theirs is as what isn't there, and a page of elsewhere may not ask at all: a redirect would tell it.
 */
export function toOwnHost(visit: Visit): Promise<void> {
  const { edge, target } = visit
  const { identity } = dashboardIdentity(visit)
  if (!isTopLevel(visit)) answerCode(visit, 'wrong_origin')
  else if (identity.kind !== 'session') {
    const next = isLocalPath(target) ? target : '/'
    if (wantsPage(visit)) sendRedirect(visit, `${paths.signIn}?next=${encodeURIComponent(next)}`)
    else answerCode(visit, 'unauthenticated')
  } else {
    const to = named(target)
    const byPath = addressByPath(visit, identity.user)
    if (byPath !== null) sendRedirect(visit, byPath)
    else if (to === null || usable(visit, to.place, identity.user) === null)
      answerCode(visit, 'not_found', { card: notFoundCard(edge.site.publicOrigin, to?.place ?? null) })
    else
      sendRedirect(
        visit,
        `${workspaceOrigin(edge.site, to.place.label)}${isLocalPath(to.rest) ? to.rest : '/'}`,
      )
  }
  return Promise.resolve()
}
