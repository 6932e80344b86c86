// A person on their way along a chain comes in; they are signed in on one more host of the workspace, or not, and go on.
import { randomBytes } from 'node:crypto'
import { type Identity, paths, userOf } from '../../control/wire/index.ts'
import { sendRedirect } from '../pages/answer.ts'
import { originOf, type Visit } from '../edge.ts'
import { factsAt } from '../facts/facts.ts'
import type { WorkspacePlace } from '../host/host.ts'
import { workspaceOrigin } from '../host/site.ts'
import { type Chain, chainOf, chainValue, goOn } from './chain.ts'
import { challengeOf, type Flow, FLOW_SECONDS } from './flow.ts'
import { queryOf } from './form.ts'
import { redeemAsGuest } from './guests.ts'
import { flowCookie, flowOf, workspaceCookie } from './remembered.ts'
import { usable } from './usable.ts'

/** The chain whose next host this is; null: none. */
export function chainAt(visit: Visit, place: WorkspacePlace): Chain | null {
  const chain = chainOf(visit)
  return chain !== null && chain.rest[0] === place.label ? chain : null
}

/** Step 1, on the further host: it needs a nonce of its own, unless this person is signed in there. */
export function joinChain(visit: Visit, place: WorkspacePlace, chain: Chain): void {
  const { edge } = visit
  const { identity } = factsAt(visit, place, 'GET', visit.target)
  const isGuest = chain.userId === ''
  // A guest's chain must not sign anybody out of their own account.
  if (isGuest ? identity.kind === 'session' : userOf(identity)?.id === chain.userId) return goOn(visit, chain)
  const nowMs = edge.now()
  const nonce = randomBytes(32).toString('base64url')
  const counted = flowOf(visit, place) ?? { attempts: 0, firstAtMs: nowMs }
  const flow: Flow = { ...counted, nonce, path: '/', startedAtMs: nowMs }
  const query = `host=${place.label}&c=${challengeOf(nonce)}&chain=${chainValue(visit, chain)}`
  const location = isGuest
    ? `${workspaceOrigin(edge.site, chain.back)}${paths.join}?${query}`
    : `${edge.site.publicOrigin}${paths.authorize}?${query}`
  sendRedirect(visit, location, flowCookie(visit, place, flow, FLOW_SECONDS))
}

/** Step 2, on the dashboard's host, for the person whose chain it is: nobody else's is followed. */
export async function authorizeInChain(
  visit: Visit,
  identity: Extract<Identity, { kind: 'session' }>,
  question: { readonly place: WorkspacePlace; readonly challenge: string },
  chain: Chain,
): Promise<void> {
  const { edge } = visit
  const { place, challenge } = question
  const route = usable(visit, place, identity.user)
  if (route?.workspaceId !== chain.workspaceId) return goOn(visit, chain)
  const code = await orNothing(visit, () =>
    edge.control.issueCode({
      userId: identity.user.id,
      parentHash: identity.sessionHash,
      workspaceId: chain.workspaceId,
      label: place.label,
      challenge,
    }),
  )
  if (code === null) return goOn(visit, chain)
  const query = `code=${encodeURIComponent(code)}&chain=${chainValue(visit, chain)}`
  sendRedirect(visit, `${workspaceOrigin(edge.site, place.label)}${paths.callback}?${query}`)
}

/** Step 3, on the further host: its session, if all is as it should be. */
export async function finishInChain(visit: Visit, place: WorkspacePlace, chain: Chain): Promise<void> {
  const flow = flowOf(visit, place)
  const code = queryOf(visit.target).get('code') ?? ''
  const { label } = place
  const session =
    flow === null || flow.nonce === ''
      ? null
      : await orNothing(visit, () =>
          chain.userId === ''
            ? redeemAsGuest(visit, place, code, flow.nonce)
            : visit.edge.control.redeemCode({ code, nonce: flow.nonce, label }, originOf(visit)),
        )
  goOn(visit, chain, session === null ? [] : workspaceCookie(visit, place, session))
}

/** What fails on one host must not keep anybody from where they wanted to go. */
async function orNothing<T>(visit: Visit, act: () => Promise<T>): Promise<T | null> {
  try {
    return await act()
  } catch (err) {
    visit.edge.log.warn('one port of a workspace was not signed in to', { requestId: visit.requestId, err })
    return null
  }
}

/** The end, on the first host: where the visitor wanted to go, as this browser remembers it. */
export function land(visit: Visit, place: WorkspacePlace): Promise<void> {
  const flow = flowOf(visit, place)
  if (flow === null) sendRedirect(visit, '/')
  else
    sendRedirect(visit, flow.path, flowCookie(visit, place, { ...flow, nonce: '', path: '/' }, FLOW_SECONDS))
  return Promise.resolve()
}
