// A signed-in person who may not see what is behind a host comes in; they ask for access, and are told the same whatever is there.
import { ApiError } from '../../control/wire/index.ts'
import { answerCode, answerDecision, sendCard, sendRedirect } from '../pages/answer.ts'
import { dashboardIdentity } from '../dashboard.ts'
import { decide, provesOwnOrigin } from '../decide/decide.ts'
import { originOf, type Visit } from '../edge.ts'
import { factsAt } from '../facts/facts.ts'
import { placeOfLabel, type WorkspacePlace } from '../host/host.ts'
import { askedCard } from '../pages/forms.ts'
import { workspaceOrigin } from '../host/site.ts'
import { readForm } from './form.ts'
import { usable } from './usable.ts'

/** Passes the request on and says so. */
async function pass(visit: Visit, place: WorkspacePlace, userId: string): Promise<void> {
  await visit.edge.control.requestAccess(userId, place.label, originOf(visit))
  sendCard(visit, 200, askedCard(place.name, visit.edge.site.publicOrigin))
}

/** On the dashboard's host, where the hand-off found nothing for this person. @throws ApiError bad_request */
export async function askFromDashboard(visit: Visit): Promise<void> {
  const { edge, scan } = visit
  if (!provesOwnOrigin(scan, edge.site.publicOrigin)) return answerCode(visit, 'wrong_origin')
  const { identity } = dashboardIdentity(visit)
  if (identity.kind !== 'session') return answerCode(visit, 'unauthenticated')
  const place = placeOfLabel((await readForm(visit)).get('host') ?? '')
  if (place === null) throw new ApiError('bad_request', 'The form is not complete.')
  if (usable(visit, place, identity.user) !== null)
    return sendRedirect(visit, `${workspaceOrigin(edge.site, place.label)}/`)
  await pass(visit, place, identity.user.id)
}

/** On the workspace's own host, where a session of it opens nothing any more. */
export async function askFromWorkspace(visit: Visit, place: WorkspacePlace): Promise<void> {
  const { scan } = visit
  const facts = factsAt(visit, place, 'POST', '/')
  const decision = decide(facts)
  if (decision.kind === 'sign-in' || decision.kind === 'unavailable') return answerDecision(visit, decision)
  // Neither pages of sibling ports nor of anybody else may ask in a person's name.
  if (!provesOwnOrigin(scan, facts.ownOrigin)) return answerCode(visit, 'wrong_origin')
  const { identity } = facts
  if (identity.kind !== 'session') return answerCode(visit, 'forbidden')
  if (decision.kind !== 'not-found') return sendRedirect(visit, '/')
  await pass(visit, place, identity.user.id)
}
