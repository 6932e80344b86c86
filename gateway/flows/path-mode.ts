// A path of the dashboard's host that names a workspace (`/dev/<workspace>/ide/…`) comes in; the workspace's own host goes out.
import { paths } from '../../control/wire/index.ts'
import { answerCode, sendRedirect, wantsPage } from '../pages/answer.ts'
import { dashboardIdentity } from '../dashboard.ts'
import type { Visit } from '../edge.ts'
import { isLocalPath, placeOfLabel, type WorkspacePlace } from '../host/host.ts'
import { notFoundCard } from '../pages/cards.ts'
import { workspaceOrigin } from '../host/site.ts'
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

/**
 * Sends who may use the workspace to its own host: nothing of a workspace is served from the dashboard's origin. What
 * isn't theirs is as what isn't there, and a page of elsewhere may not ask at all: a redirect would tell it.
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
    if (to === null || usable(visit, to.place, identity.user) === null)
      answerCode(visit, 'not_found', { card: notFoundCard(edge.site.publicOrigin, to?.place ?? null) })
    else
      sendRedirect(
        visit,
        `${workspaceOrigin(edge.site, to.place.label)}${isLocalPath(to.rest) ? to.rest : '/'}`,
      )
  }
  return Promise.resolve()
}
