// People with a one-time link of an administrator come in; control sets a password or makes a user; cookies and a redirect go out.
import { ApiError, type NewSession } from '../../control/wire/index.ts'
import { answerCode, sendCard, sendRedirect } from '../pages/answer.ts'
import { deniesNothing } from '../decide/decide.ts'
import { dashboardIdentity } from '../dashboard.ts'
import { originOf, type Visit } from '../edge.ts'
import type { Card } from '../pages/card.ts'
import { deadLinkCard, invitationCard, resetCard } from '../pages/link-forms.ts'
import { readForm } from './form.ts'
import { leaveInvited } from './provider.ts'
import { sessionCookies } from './sign-in.ts'
import { withoutTossed } from './tossed.ts'

/** `GET /reset`: the form for a new password. The secret of the link never comes with it. */
export function showReset(visit: Visit): Promise<void> {
  sendCard(visit, 200, resetCard({ token: '', error: null }))
  return Promise.resolve()
}

/** `GET /invitation`: the form for a new user. */
export async function showInvitation(visit: Visit): Promise<void> {
  const providers = await visit.edge.control.providers()
  sendCard(visit, 200, invitationCard({ token: '', username: '', error: null, providers }))
}

/** `POST /reset`: the new password is set, and its owner is signed in. */
export async function reset(visit: Visit): Promise<void> {
  const fields = await fieldsOf(visit)
  if (fields === null) return
  const [token, password] = [fields.get('token')?.trim() ?? '', fields.get('password') ?? '']
  await orMended(
    visit,
    async () => enter(visit, await visit.edge.control.resetPassword({ token, password }, originOf(visit))),
    (error) => resetCard({ token, error }),
  )
}

/** `POST /invitation`: the user is made and signed in, or goes on to the provider that they chose. */
export async function acceptInvitation(visit: Visit): Promise<void> {
  const fields = await fieldsOf(visit)
  if (fields === null) return
  const [token, password] = [fields.get('token')?.trim() ?? '', fields.get('password') ?? '']
  const username = fields.get('username') ?? ''
  const { control } = visit.edge
  const providers = await control.providers()
  const chosen = providers.find(({ id, invites }) => invites && id === fields.get('provider'))
  await orMended(
    visit,
    async () =>
      chosen === undefined
        ? enter(visit, await control.acceptInvitation({ token, username, password }, originOf(visit)))
        : leaveInvited(visit, chosen, token),
    (error) => invitationCard({ token, username, error, providers }),
  )
}

/** Null: the form came from another site, which has been told so. */
async function fieldsOf(visit: Visit): Promise<URLSearchParams | null> {
  if (deniesNothing(visit.scan, visit.edge.site.publicOrigin)) return readForm(visit)
  answerCode(visit, 'wrong_origin')
  return null
}

/** A new session, never one that the browser brought: that one ends. */
async function enter(visit: Visit, session: NewSession): Promise<void> {
  const { identity } = dashboardIdentity(visit)
  if (identity.kind === 'session') await visit.edge.control.signOut(identity.sessionHash)
  sendRedirect(visit, '/', [...sessionCookies(visit, session), ...withoutTossed(visit)])
}

const mendable: ReadonlySet<string> = new Set([
  'invalid_body',
  'name_taken',
  'rate_limited',
  'overloaded',
  'provider_away',
])

/** What can be mended is asked for again. */
async function orMended(
  visit: Visit,
  act: () => Promise<void>,
  again: (error: string) => Card,
): Promise<void> {
  try {
    await act()
  } catch (err) {
    if (!(err instanceof ApiError)) throw err
    const { title, detail, hint } = err.problem('')
    if (err.code === 'forbidden') return sendCard(visit, err.status, deadLinkCard(detail ?? hint))
    if (!mendable.has(err.code)) throw err
    const wrong = (err.errors ?? []).map(({ path, message }) => `${path}: ${message}`).join('. ')
    const retry = err.retryAfterSeconds === undefined ? [] : ['Retry-After', String(err.retryAfterSeconds)]
    sendCard(visit, err.status, again(wrong === '' ? `${detail ?? title} ${hint}` : wrong), retry)
  }
}
