// Somebody with a link comes to a workspace's host; their one press of the button uses it, and they go on as a guest.
import { ApiError } from '../../control/wire/index.ts'
import { answerCode, sendCard, sendRedirect } from '../pages/answer.ts'
import { decide, provesOwnOrigin } from '../decide/decide.ts'
import { originOf, type Visit } from '../edge.ts'
import { factsAt } from '../facts/facts.ts'
import type { WorkspacePlace } from '../host/host.ts'
import { linkCard, linkOverCard } from '../pages/link-card.ts'
import { workspaceOrigin } from '../host/site.ts'
import { beginChain, goOn } from './chain.ts'
import { FLOW_SECONDS } from './flow.ts'
import { readForm } from './form.ts'
import { flowCookie, workspaceCookie } from './remembered.ts'

/**
 * `GET /.postern/link`: the page with the one button. The secret is behind the `#`, which no server is sent: it is in no
 * access log of ours or of a front, and in no Referer. A preview that fetches the address, and even one that runs the
 * page's script, uses nothing up: that takes the button's POST from this very page. The script takes the secret out of
 * the address, so that it stays in no history, where the app's own pages could read it. The page is the same for every
 * well-formed host, whether or not there is such a workspace.
 */
export function showLink(visit: Visit, place: WorkspacePlace): Promise<void> {
  sendCard(visit, 200, linkCard(place.label))
  return Promise.resolve()
}

/** True where this browser may be here already: then the link keeps its use. */
function isInside(visit: Visit, place: WorkspacePlace): boolean {
  const facts = factsAt(visit, place, 'GET', '/')
  if (facts.identity.kind === 'anonymous') return false
  const { kind } = decide(facts)
  return kind !== 'sign-in' && kind !== 'not-found' && kind !== 'refused' && kind !== 'unavailable'
}

/** `POST /.postern/link`: a use of the link, for a guest's session on this host and on the others that it opens. */
export async function redeemLink(visit: Visit, place: WorkspacePlace): Promise<void> {
  const { edge } = visit
  if (!provesOwnOrigin(visit.scan, workspaceOrigin(edge.site, place.label)))
    return answerCode(visit, 'wrong_origin')
  if (!edge.table.isReady) return answerCode(visit, 'unavailable')
  const given = (await readForm(visit)).get('token') ?? ''
  // The whole link may have been pasted.
  const secret = given.slice(given.indexOf('#') + 1).trim()
  if (isInside(visit, place)) return sendRedirect(visit, '/')
  const workspaceId = edge.table.routeByName(place.name)?.workspaceId ?? ''
  try {
    if (!/^psl_[A-Za-z0-9_-]{43}$/.test(secret)) throw new ApiError('link_unknown')
    const session = await edge.control.redeemLink(
      { secret, workspaceId, label: place.label },
      originOf(visit),
    )
    enterAsGuest(visit, place, session, '/')
  } catch (err) {
    if (!(err instanceof ApiError) || (err.code !== 'link_unknown' && err.code !== 'link_over')) throw err
    const saying = err.detail === undefined ? {} : { detail: err.detail }
    answerCode(visit, err.code, { ...saying, card: linkOverCard(err.code, err.detail ?? '') })
  }
}

/** Gives the browser a guest's session, takes it along the workspace's other hosts, and then where it wanted to go. */
export function enterAsGuest(
  visit: Visit,
  place: WorkspacePlace,
  session: { readonly token: string; readonly expiresAtMs: number },
  path: string,
): void {
  const cookie = workspaceCookie(visit, place, session)
  const chain = beginChain(visit, place, session.token)
  if (chain === null) return sendRedirect(visit, path, cookie)
  const nowMs = visit.edge.now()
  const flow = { nonce: '', path, startedAtMs: nowMs, attempts: 0, firstAtMs: nowMs }
  goOn(visit, chain, [...cookie, ...flowCookie(visit, place, flow, FLOW_SECONDS)])
}
