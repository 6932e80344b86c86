// A visitor who may open a port, but for its password, comes in; the form goes out, and what was given goes to control.
import { ApiError, paths } from '../../control/wire/index.ts'
import { answerCode, answerDecision, send, sendCard, sendRedirect, wantsPage } from '../pages/answer.ts'
import { decide, deniesNothing, provesOwnOrigin } from '../decide/decide.ts'
import { originOf, type Visit } from '../edge.ts'
import { factsAt, type GatheredFacts } from '../facts/facts.ts'
import { isLocalPath, type WorkspacePlace } from '../host/host.ts'
import { passwordCard } from '../pages/link-card.ts'
import { type Site, workspaceOrigin } from '../host/site.ts'
import { queryOf, readForm } from './form.ts'
import { beginHandOff } from './hand-off.ts'
import { enterAsGuest } from './link.ts'
import { workspaceCookie } from './remembered.ts'

const pathIn = (fields: URLSearchParams): string => {
  const to = fields.get('to') ?? '/'
  return isLocalPath(to) && !to.startsWith(paths.edgePrefix) ? to : '/'
}

/** Where forward auth sends a person who lacks the password. */
export function passwordLocation(site: Site, place: WorkspacePlace, target: string): string {
  return `${workspaceOrigin(site, place.label)}${paths.passPage}?to=${encodeURIComponent(target)}`
}

/** `GET /.postern/password?to=…`: the form, where that path needs it; else on to the path. */
export function showPassword(visit: Visit, place: WorkspacePlace): Promise<void> {
  const to = pathIn(queryOf(visit.target))
  const decision = decide(factsAt(visit, place, 'GET', to))
  if (decision.kind === 'password') sendCard(visit, 200, passwordCard(to, null))
  else if (decision.kind === 'sign-in') beginHandOff(visit, place, to)
  else sendRedirect(visit, to)
  return Promise.resolve()
}

/** A cookie's pass is asked for by this host's own form only; a token, and who has nothing, need no such proof. */
function isOwnForm({ scan }: Visit, { credential, ownOrigin }: GatheredFacts): boolean {
  if (credential.kind === 'token') return true
  return credential.kind === 'session' ? provesOwnOrigin(scan, ownOrigin) : deniesNothing(scan, ownOrigin)
}

/** By what the visitor holds the pass from now on; null: by nothing yet. */
function holderOf({ identity, credential }: GatheredFacts) {
  if (identity.kind === 'session' || identity.kind === 'link')
    return { kind: 'session', hash: identity.sessionHash } as const
  return identity.kind === 'token' && credential.kind === 'token'
    ? ({ kind: 'token', hash: credential.hash } as const)
    : null
}

/**
 * `POST /.postern/password`: `password` and `to`, as a form. A session or token that may open the port otherwise has the
 * pass from then on; who has neither gets a guest's session with it. Programs hear 204.
 */
export async function givePassword(visit: Visit, place: WorkspacePlace): Promise<void> {
  const { edge } = visit
  const fields = await readForm(visit)
  const to = pathIn(fields)
  const facts = factsAt(visit, place, 'GET', to)
  if (!isOwnForm(visit, facts)) return answerCode(visit, 'wrong_origin')
  const decision = decide(facts)
  const isPage = wantsPage(visit)
  if (decision.kind === 'sign-in' || decision.kind === 'not-found' || decision.kind === 'unavailable')
    return answerDecision(visit, decision)
  if (decision.kind === 'refused') return answerDecision(visit, decision)
  if (decision.kind !== 'password') return isPage ? sendRedirect(visit, to) : send(visit, 204, [], '')
  const { route, port } = decision
  const password = fields.get('password') ?? ''
  const asked = {
    workspaceId: route.workspaceId,
    port,
    label: place.label,
    password,
    holder: holderOf(facts),
  }
  try {
    const session = await edge.control.givePassword(asked, originOf(visit))
    if (!isPage) return send(visit, 204, session === null ? [] : workspaceCookie(visit, place, session), '')
    if (session === null) sendRedirect(visit, to)
    else enterAsGuest(visit, place, session, to)
  } catch (err) {
    if (!(err instanceof ApiError) || (err.code !== 'wrong_password' && err.code !== 'rate_limited'))
      throw err
    const { retryAfterSeconds } = err
    const { title, hint } = err.problem('')
    answerCode(visit, err.code, {
      card: passwordCard(to, `${title} ${hint}`),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    })
  }
}
