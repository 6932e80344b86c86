// A visitor without a session comes to a workspace host; through the dashboard's host and one-time code they come back with one.
import { randomBytes } from 'node:crypto'
import { ApiError, isOwnerOf, paths, reaches, roleOn } from '../../control/wire/index.ts'
import { answerCode, answerDecision, sendCard, sendRedirect } from '../pages/answer.ts'
import { decide, provesOwnOrigin } from '../decide/decide.ts'
import { dashboardIdentity } from '../dashboard.ts'
import { originOf, type Visit } from '../edge.ts'
import { factsAt } from '../facts/facts.ts'
import { isLocalPath, type WorkspacePlace } from '../host/host.ts'
import { asciiTarget, placeOfHandOff } from '../host/path.ts'
import { askedOn, handOffCard, notFoundCard } from '../pages/cards.ts'
import { consentCard, pathConsentCard } from '../pages/forms.ts'
import { cookiesOfPlace, type Site, urlOfPlace, workspaceOrigin } from '../host/site.ts'
import { beginChain, goOn } from './chain.ts'
import { clearCookie } from './cookie.ts'
import { challengeOf, type Flow, FLOW_SECONDS } from './flow.ts'
import { queryOf, readForm } from './form.ts'
import { authorizeInChain, chainAt, finishInChain } from './join.ts'
import { flowCookie, flowOf, workspaceCookie } from './remembered.ts'
import { isTopLevel } from './top-level.ts'
import { withoutTossed } from './tossed.ts'
import { usable } from './usable.ts'

const ATTEMPTS_MAX = 3
const ATTEMPTS_MS = 60_000
/** A cookie holds 4 kB, base64 and all. */
const PATH_MAX = 2600

/** The path to come back to: as it was asked for, bytes above ASCII percent-encoded; `/` where it can't be kept. */
function pathToKeep(target: string): string {
  const path = asciiTarget(target)
  return path.length <= PATH_MAX && isLocalPath(path) ? path : '/'
}

/** Step 1, on the workspace host: remembers the path in a sealed cookie and sends the browser to the dashboard's host. */
export function beginHandOff(visit: Visit, place: WorkspacePlace, target: string): void {
  const { edge } = visit
  const nowMs = edge.now()
  const before = flowOf(visit, place)
  const isRecent = before !== null && nowMs - before.firstAtMs < ATTEMPTS_MS
  const attempts = isRecent ? before.attempts + 1 : 1
  if (attempts > ATTEMPTS_MAX) {
    const lead =
      'This browser comes back without its cookie again and again. Allow cookies for this site, wait a minute, then try again.'
    return answerCode(visit, 'forbidden', {
      card: handOffCard(lead, `${place.prefix}/`),
      headers: withoutTossed(visit),
    })
  }
  const nonce = randomBytes(32).toString('base64url')
  const cookies = cookiesOfPlace(edge.site, place)
  const flow: Flow = {
    nonce,
    path: pathToKeep(place.prefix + target),
    startedAtMs: nowMs,
    attempts,
    firstAtMs: isRecent ? before.firstAtMs : nowMs,
  }
  // No path and no full URL leave the host: nothing to leak, and no redirect that another could steer.
  const location = `${edge.site.publicOrigin}${paths.authorize}?host=${place.label}&c=${challengeOf(nonce)}`
  sendRedirect(visit, location, [
    ...flowCookie(visit, place, flow, FLOW_SECONDS),
    // What is nobody's; a guest's opens other ports of this host, or this one again.
    ...(factsAt(visit, place, 'GET', '/').identity.kind === 'link'
      ? []
      : clearCookie(edge.site, cookies.session, cookies.path)),
    ...withoutTossed(visit),
  ])
}

interface Question {
  readonly place: WorkspacePlace
  readonly challenge: string
}

function questionOf(fields: URLSearchParams, site: Site): Question {
  const place = placeOfHandOff(fields.get('host') ?? '', site)
  const challenge = fields.get('c') ?? ''
  if (place === null || !/^[A-Za-z0-9_-]{43}$/.test(challenge))
    throw new ApiError('bad_request', 'The link is not complete.')
  return { place, challenge }
}

/** Step 2, on the dashboard's host: a signed-in person who may use the port is sent back with a one-time code. */
export async function authorize(visit: Visit): Promise<void> {
  const { edge, method, scan } = visit
  const isPost = method === 'POST'
  // Only a person who goes somewhere gets a code.
  if (!isTopLevel(visit) || (isPost && !provesOwnOrigin(scan, edge.site.publicOrigin)))
    return answerCode(visit, 'wrong_origin')
  const { place, challenge } = questionOf(isPost ? await readForm(visit) : queryOf(visit.target), edge.site)
  const { identity } = dashboardIdentity(visit)
  if (identity.kind !== 'session') {
    const next = `${paths.authorize}?host=${place.label}&c=${challenge}`
    return sendRedirect(visit, `${paths.signIn}?next=${encodeURIComponent(next)}`)
  }
  const { user, sessionHash } = identity
  const chain = isPost ? null : chainAt(visit, place)
  if (chain?.userId === user.id) return authorizeInChain(visit, identity, { place, challenge }, chain)
  const route = usable(visit, place, user)
  if (route === null)
    return answerCode(visit, 'not_found', { card: notFoundCard(edge.site.publicOrigin, askedOn(place)) })
  if (place.prefix !== '' && !isPost) {
    const hostUrl = `${workspaceOrigin(edge.site, route.name)}/`
    return sendCard(visit, 200, pathConsentCard({ name: route.name, label: place.label, challenge, hostUrl }))
  }
  if (!isOwnerOf(route, user) && !isPost) {
    const owner = edge.table.user(route.ownerId)?.username ?? 'somebody else'
    return sendCard(visit, 200, consentCard({ name: route.name, owner, label: place.label, challenge }))
  }
  const code = await edge.control.issueCode({
    userId: user.id,
    parentHash: sessionHash,
    workspaceId: route.workspaceId,
    label: place.label,
    challenge,
  })
  sendRedirect(visit, `${urlOfPlace(edge.site, place)}${paths.callback}?code=${encodeURIComponent(code)}`)
}

/** Step 3, on the workspace host: code and nonce together become this host's session, and the visitor goes where they wanted. */
export async function finishHandOff(visit: Visit, place: WorkspacePlace): Promise<void> {
  const chained = chainAt(visit, place)
  if (chained !== null) return finishInChain(visit, place, chained)
  const flow = flowOf(visit, place)
  const code = queryOf(visit.target).get('code') ?? ''
  if (flow === null || flow.nonce === '' || !/^[\x21-\x7e]{1,512}$/.test(code))
    return unfinished(visit, place, null)
  const session = await redeem(visit, { code, nonce: flow.nonce, label: place.label })
  if (session === null) return unfinished(visit, place, flow)
  const chain = beginChain(visit, place, session.token)
  // The used flow stays without its nonce: it counts the turns of a browser that keeps no session, and knows the way.
  const used: Flow = { ...flow, nonce: '', path: chain === null ? `${place.prefix}/` : flow.path }
  const seconds = chain === null ? ATTEMPTS_MS / 1000 : FLOW_SECONDS
  const cookies = [...workspaceCookie(visit, place, session), ...flowCookie(visit, place, used, seconds)]
  if (chain === null) sendRedirect(visit, flow.path, cookies)
  else goOn(visit, chain, cookies)
}

async function redeem(visit: Visit, given: { code: string; nonce: string; label: string }) {
  try {
    return await visit.edge.control.redeemCode(given, originOf(visit))
  } catch (err) {
    if (err instanceof ApiError && err.code === 'forbidden') return null
    throw err
  }
}

/** A code that is used, late or another browser's; a second tab that came first has made a session already. */
function unfinished(visit: Visit, place: WorkspacePlace, flow: Flow | null): void {
  const { edge } = visit
  const facts = factsAt(visit, place, 'GET', visit.target)
  const back = flow?.path ?? `${place.prefix}/`
  const cookies = cookiesOfPlace(edge.site, place)
  if (facts.identity.kind === 'session') return sendRedirect(visit, back)
  const lead = 'The link was used already, is older than a minute, or was made for another browser.'
  answerCode(visit, 'forbidden', {
    detail: lead,
    card: handOffCard(lead, back),
    headers: [...clearCookie(edge.site, cookies.flow, cookies.path), ...withoutTossed(visit)],
  })
}

/** The Start button: the one verb that a workspace's own session opens, from its own host only. */
export async function startFromPage(visit: Visit, place: WorkspacePlace): Promise<void> {
  const { edge } = visit
  const facts = factsAt(visit, place, 'POST', visit.target)
  const decision = decide(facts)
  if (decision.kind === 'sign-in' || decision.kind === 'not-found') return answerDecision(visit, decision)
  if (decision.kind === 'refused' || decision.kind === 'unavailable' || decision.kind === 'preflight')
    return answerDecision(visit, decision)
  // Pages of sibling ports may call apps, but not this.
  if (facts.kin !== 'none') return answerDecision(visit, { kind: 'refused', why: 'origin' })
  const { identity } = facts
  if (identity.kind !== 'session' || !reaches(roleOn(decision.route, identity.user, facts.nowMs), 'editor'))
    return answerCode(visit, 'forbidden')
  const back = (await readForm(visit)).get('back') ?? ''
  if (decision.kind === 'stopped')
    await edge.control.startWorkspace(decision.route.workspaceId, identity.user.id, originOf(visit))
  sendRedirect(visit, isLocalPath(back) ? back : `${place.prefix}/`)
}
