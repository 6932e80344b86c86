// A person on their way to a provider of identities, or back from it, comes in; redirects, a session's cookie or the reason why not go out.
import { ApiError, type SignInProvider } from '../../control/wire/index.ts'
import { answerCode, sendCard, sendRedirect } from '../pages/answer.ts'
import { cookieValue } from '../headers/cookies.ts'
import { dashboardIdentity } from '../dashboard.ts'
import { originOf, type Visit } from '../edge.ts'
import { isLocalPath, pathOf } from '../host/host.ts'
import { providerCard } from '../pages/forms.ts'
import { leavingCard } from '../pages/link-forms.ts'
import { clearCookie, setCookie } from './cookie.ts'
import { queryOf } from './form.ts'
import { nextOf, sessionCookies } from './sign-in.ts'
import { isTopLevel } from './top-level.ts'

/** How long a browser may be away at a provider (s). */
const AWAY_SECONDS = 600
const QUERY_MAX = 8192

/** The provider that the path names. */
const idOf = (visit: Visit): string => /^\/auth\/oidc\/([^/]{1,40})/.exec(pathOf(visit.target))?.[1] ?? ''

const flowsOf = (visit: Visit): string | null =>
  cookieValue(visit.scan.cookie, visit.edge.site.cookies.provider)

/** What the browser keeps of sign-ins that it has begun; it travels no further than to us. */
function flowsCookie(visit: Visit, flows: string): string[] {
  const { site } = visit.edge
  if (flows === '') return clearCookie(site, site.cookies.provider)
  return setCookie(site, site.cookies.provider, flows, AWAY_SECONDS)
}

/** `GET /auth/oidc/<id>?next=…`: on to the provider; where the person was going stays in this browser, sealed. */
export async function beginAtProvider(visit: Visit): Promise<void> {
  const { edge } = visit
  if (!isTopLevel(visit)) return answerCode(visit, 'wrong_origin')
  const next = nextOf(queryOf(visit.target))
  try {
    const begun = await edge.control.beginSignIn({ provider: idOf(visit), next, flows: flowsOf(visit) })
    sendRedirect(visit, begun.location, flowsCookie(visit, begun.flows))
  } catch (err) {
    if (!(err instanceof ApiError) || !err.code.startsWith('provider_')) throw err
    const { code, detail } = err
    const said = detail === undefined ? {} : { detail }
    answerCode(visit, code, { ...said, card: providerCard({ code, detail, next }) })
  }
}

/** On to a provider with an invitation, which is redeemed when this browser is back. @throws ApiError not_found, forbidden, rate_limited, provider_… */
export async function leaveInvited(visit: Visit, provider: SignInProvider, token: string): Promise<void> {
  const { control } = visit.edge
  const begun = await control.beginSignIn({
    provider: provider.id,
    next: '/',
    flows: flowsOf(visit),
    invited: { token, origin: originOf(visit) },
  })
  sendCard(visit, 200, leavingCard(provider.name, begun.location), flowsCookie(visit, begun.flows))
}

/** `GET /auth/oidc/<id>/callback`: control judges the answer; a new session, never one that the browser brought. */
export async function finishAtProvider(visit: Visit): Promise<void> {
  const { edge, target } = visit
  const at = target.indexOf('?')
  const query = at < 0 ? '' : target.slice(at + 1)
  if (!isTopLevel(visit) || query.length > QUERY_MAX) return answerCode(visit, 'wrong_origin')
  const given = { provider: idOf(visit), query, flows: flowsOf(visit) }
  const done = await edge.control.finishSignIn(given, originOf(visit))
  const next = isLocalPath(done.next) ? done.next : '/'
  const kept = flowsCookie(visit, done.flows)
  if (done.session === null) {
    const { code, detail } = done.refusal ?? { code: 'provider_answer' as const, detail: undefined }
    return answerCode(visit, code, {
      ...(detail === undefined ? {} : { detail }),
      headers: kept,
      card: providerCard({ code, detail, next }),
    })
  }
  const { identity } = dashboardIdentity(visit)
  if (identity.kind === 'session') await edge.control.signOut(identity.sessionHash)
  sendRedirect(visit, next, [...sessionCookies(visit, done.session), ...kept])
}
