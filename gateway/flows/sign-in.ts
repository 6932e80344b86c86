// Forms of the dashboard's host come in; sessions are made and ended by control; cookies and redirects go out.
import { ApiError, DEVICE_COOKIE_SECONDS, type NewSession, paths } from '../../control/wire/index.ts'
import { answerCode, sendCard, sendRedirect } from '../pages/answer.ts'
import { deniesNothing, provesOwnOrigin } from '../decide/decide.ts'
import { dashboardIdentity } from '../dashboard.ts'
import { originOf, type Visit } from '../edge.ts'
import { isLocalPath } from '../host/host.ts'
import { setupCard, setupClosedCard, signInCard } from '../pages/forms.ts'
import { clearCookie, setCookie } from './cookie.ts'
import { queryOf, readForm } from './form.ts'
import { withoutTossed } from './tossed.ts'

/** Where a form or link leads: a path of this host, never another. */
export const nextOf = (fields: URLSearchParams): string => {
  const next = fields.get('next') ?? '/'
  return isLocalPath(next) ? next : '/'
}

/** The cookies of a new session: its own, and the one by which this browser is known at the next sign-in. */
export function sessionCookies(visit: Visit, session: NewSession): string[] {
  const { site } = visit.edge
  const seconds = (session.expiresAtMs - visit.edge.now()) / 1000
  const { device } = session
  return [
    ...setCookie(site, site.cookies.session, session.token, seconds),
    ...(device === undefined ? [] : setCookie(site, site.cookies.device, device, DEVICE_COOKIE_SECONDS)),
  ]
}

/** `GET /sign-in`: the form, or on to `next` for somebody who is signed in. */
export async function showSignIn(visit: Visit): Promise<void> {
  const next = nextOf(queryOf(visit.target))
  if (dashboardIdentity(visit).identity.kind === 'session') return sendRedirect(visit, next)
  if (await visit.edge.control.setupOpen())
    return sendCard(visit, 200, {
      ...signInCard({ next, username: '', error: null, providers: [] }),
      small: ['Nobody can sign in yet: open the setup link that the server printed when it started.'],
    })
  const providers = await visit.edge.control.providers()
  sendCard(visit, 200, signInCard({ next, username: '', error: null, providers }), withoutTossed(visit))
}

/** `POST /sign-in`: a new session, never one that the browser brought; the one that it brought ends. */
export async function signIn(visit: Visit): Promise<void> {
  const { edge } = visit
  if (!deniesNothing(visit.scan, edge.site.publicOrigin)) return answerCode(visit, 'wrong_origin')
  const fields = await readForm(visit)
  const username = fields.get('username') ?? ''
  const next = nextOf(fields)
  try {
    const session = await edge.control.signIn(
      { username, password: fields.get('password') ?? '' },
      originOf(visit),
    )
    const { identity } = dashboardIdentity(visit)
    if (identity.kind === 'session') await edge.control.signOut(identity.sessionHash)
    sendRedirect(visit, next, [...sessionCookies(visit, session), ...withoutTossed(visit)])
  } catch (err) {
    if (!(err instanceof ApiError) || (err.code !== 'invalid_credentials' && err.code !== 'rate_limited'))
      throw err
    const retry = err.retryAfterSeconds === undefined ? [] : ['Retry-After', String(err.retryAfterSeconds)]
    const { title, detail, hint } = err.problem('')
    const error = `${detail ?? title} ${hint}`
    const providers = await edge.control.providers()
    sendCard(visit, err.status, signInCard({ next, username, error, providers }), retry)
  }
}

/** `POST /sign-out`: ends the session and its children. */
export async function signOut(visit: Visit): Promise<void> {
  const { edge } = visit
  if (!provesOwnOrigin(visit.scan, edge.site.publicOrigin)) return answerCode(visit, 'wrong_origin')
  const { identity } = dashboardIdentity(visit)
  const atProvider = identity.kind === 'session' ? await edge.control.signOut(identity.sessionHash) : null
  sendRedirect(visit, atProvider ?? paths.signIn, clearCookie(edge.site, edge.site.cookies.session))
}

/** `GET /setup`: the form for the first administrator, while there are no users. */
export async function showSetup(visit: Visit): Promise<void> {
  if (!(await visit.edge.control.setupOpen())) return sendCard(visit, 409, setupClosedCard())
  const token = queryOf(visit.target).get('token') ?? ''
  sendCard(visit, 200, setupCard({ token, username: '', email: '', error: null }))
}

/** `POST /setup`: the first administrator, signed in. */
export async function setUp(visit: Visit): Promise<void> {
  const { edge } = visit
  if (!deniesNothing(visit.scan, edge.site.publicOrigin)) return answerCode(visit, 'wrong_origin')
  const fields = await readForm(visit)
  const token = fields.get('token') ?? ''
  const username = fields.get('username') ?? ''
  const email = fields.get('email') ?? ''
  const password = fields.get('password') ?? ''
  try {
    const body = { token, username, password, ...(email === '' ? {} : { email }) }
    const session = await edge.control.setup(body, originOf(visit))
    sendRedirect(visit, '/', sessionCookies(visit, session))
  } catch (err) {
    if (!(err instanceof ApiError)) throw err
    if (err.code === 'setup_closed') return sendCard(visit, 409, setupClosedCard())
    if (err.code !== 'invalid_body' && err.code !== 'forbidden') throw err
    const error =
      err.code === 'forbidden'
        ? 'This setup link is not the one that the server printed last. Use the newest.'
        : (err.errors ?? []).map((problem) => `${problem.path}: ${problem.message}`).join('. ') || err.message
    sendCard(visit, err.status, setupCard({ token, username, email, error }))
  }
}
