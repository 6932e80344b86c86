/** Sign-in at providers of identities: a browser goes out to one and comes back; a session, or the reason why not, comes out. */
import type { Deployment } from '../deployment.ts'
import { LINK_OVER } from '../service/account-links.ts'
import { linkAttempt } from '../service/familiar.ts'
import { findInvitation } from '../service/invitations.ts'
import { beginSession, SESSION_MAX_MS } from '../service/sessions.ts'
import type { SignInLimit } from '../credentials/sign-in-limit.ts'
import { findProviderSession } from '../store/provider-sessions.ts'
import { orTold, tellRefused, tellTried } from '../service/told-refusals.ts'
import { hashToken, newToken } from '../credentials/tokens.ts'
import { ApiError } from '../wire/index.ts'
import type {
  BegunSignIn,
  EdgeControl,
  FinishedSignIn,
  NewSession,
  Origin,
  SignInProvider,
} from '../wire/index.ts'
import { personOf } from './claims.ts'
import type { Answer, Question } from './client.ts'
import { providerClient } from './client.ts'
import { failureOf } from './failure.ts'
import type { Flow, Flows } from './flows.ts'
import { flowsOf } from './flows.ts'
import type { Lasting, Way } from './lasting.ts'
import { endOf, idTokenOf, keepAnswer, refreshes } from './lasting.ts'
import type { Arrival } from './people.ts'
import { admit } from './people.ts'
import { callbackUrl } from './settings.ts'

type BeginGiven = Parameters<EdgeControl['beginSignIn']>[0]
type FinishGiven = Parameters<EdgeControl['finishSignIn']>[0]

export interface ProviderSignIn extends Lasting {
  readonly offered: readonly SignInProvider[]
  /** @throws ApiError not_found, provider_away, forbidden, rate_limited */
  begin(given: BeginGiven): Promise<BegunSignIn>
  finish(given: FinishGiven, origin: Origin): Promise<FinishedSignIn>
  /** Asked before a session ends: what then gives where one signs out at its provider, or null. */
  leaving(sessionHash: string): Promise<() => Promise<string | null>>
}

/** Longest subject (OpenID Connect Core §2) and issuer that are stored. */
const NAME_MAX = 255

class ProviderWays implements ProviderSignIn {
  readonly offered: readonly SignInProvider[]
  readonly #deployment: Deployment
  readonly #limit: SignInLimit
  readonly #ways: ReadonlyMap<string, Way>
  readonly #flows: Flows
  readonly #lasting: Lasting

  constructor(deployment: Deployment, limit: SignInLimit) {
    const { options, vault, now } = deployment
    const providers = options.oidcProviders ?? []
    this.offered = providers.map(({ id, name, allow }) => ({ id, name, invites: allow.invitation }))
    this.#deployment = deployment
    this.#limit = limit
    this.#ways = new Map(
      providers.map((provider) => [provider.id, { provider, client: providerClient(provider, now) }]),
    )
    this.#flows = flowsOf(vault, now)
    this.#lasting = refreshes(deployment, this.#ways)
  }

  #question({ provider, state, nonce, verifier }: Flow): Question {
    return { redirectUri: callbackUrl(this.#deployment.options.publicUrl, provider), state, nonce, verifier }
  }

  async begin({ provider: id, next, flows, invited }: BeginGiven): Promise<BegunSignIn> {
    const way = this.#ways.get(id)
    if (way === undefined) throw new ApiError('not_found')
    const invitation = invited === undefined ? null : await this.#invitation(invited)
    const [state, nonce, verifier] = [newToken(''), newToken(''), newToken('')]
    const startedAtMs = this.#deployment.now()
    const flow: Flow = { provider: id, state, nonce, verifier, next, startedAtMs, invitation }
    try {
      const location = await way.client.authorizeUrl(this.#question(flow))
      return { location, flows: this.#flows.add(flows, flow) }
    } catch (err) {
      const failure = failureOf(err)
      this.#deployment.log.warn('a provider could not be asked', {
        provider: id,
        err: failure.cause ?? failure,
      })
      throw failure
    }
  }

  /** Only an invitation that is open now sets out. It is looked at again, and used up, when the browser is back. */
  #invitation({ token, origin }: NonNullable<BeginGiven['invited']>): Promise<string> {
    const { feed, now } = this.#deployment
    return orTold(this.#deployment, { action: 'invitation.accept' }, origin, async () => {
      const attempt = linkAttempt(origin)
      this.#limit.spend(attempt)
      const hash = hashToken(token)
      if ((await findInvitation(feed.db, { hash }, now())) === null)
        throw new ApiError('forbidden', LINK_OVER)
      this.#limit.refund(attempt)
      return hash
    })
  }

  async finish({ provider: id, query, flows: held }: FinishGiven, origin: Origin): Promise<FinishedSignIn> {
    const { flow, kept } = this.#flows.take(held, new URLSearchParams(query).get('state') ?? '')
    const next = flow?.next ?? '/'
    try {
      const session = await this.#judge(flow, id, query, origin)
      return { session, refusal: null, next, flows: kept }
    } catch (err) {
      const failure = failureOf(err)
      const { code, detail, cause } = failure
      const { ip, requestId } = origin
      const provider = id.slice(0, 40)
      this.#deployment.log.warn('a sign-in at a provider was refused', {
        provider,
        code,
        err: cause,
        ip,
        requestId,
      })
      await (typeof flow?.invitation === 'string'
        ? tellTried(this.#deployment, { action: 'invitation.accept' }, code, origin)
        : tellRefused(this.#deployment, code, null, origin))
      const refusal = { code, ...(detail === undefined ? {} : { detail }) }
      return { session: null, refusal, next, flows: kept }
    }
  }

  async #judge(flow: Flow | null, id: string, query: string, origin: Origin): Promise<NewSession> {
    const way = this.#ways.get(id)
    // An answer that comes to another provider's door than it was asked at is nobody's (RFC 9700 §4.4).
    if (flow === null || way === undefined || flow.provider !== id) throw new ApiError('sign_in_lost')
    const attempt = linkAttempt(origin)
    this.#limit.spend(attempt)
    const question = this.#question(flow)
    const answer = await way.client.exchange(new URL(`${question.redirectUri}?${query}`), question)
    if (answer.claims === null) throw new ApiError('provider_answer')
    const person = personOf(answer.claims, way.provider)
    if (person.subject.length > NAME_MAX || person.issuer.length > NAME_MAX)
      throw new ApiError('provider_answer')
    const session = await this.#enter(way, answer, { person, invitation: flow.invitation, origin })
    this.#limit.refund(attempt)
    return session
  }

  /** A session for whom the answer names; what the provider gave is kept beside it. */
  async #enter(
    { provider }: Way,
    answer: Answer,
    { person, invitation, origin }: Pick<Arrival, 'person' | 'invitation' | 'origin'>,
  ): Promise<NewSession> {
    const { feed, log, now } = this.#deployment
    const nowMs = now()
    const endsAtMs = endOf(provider, answer, nowMs)
    // It was let through by the tolerance between clocks, and would be over at once.
    if (endsAtMs <= nowMs) throw new ApiError('provider_clock')
    const session = await feed.write(async (w) => {
      const user = await admit(this.#deployment, w, { provider, person, invitation, origin, nowMs })
      const begun = await beginSession(w, user.id, origin, nowMs, provider.id, endsAtMs)
      const kept = { provider, answer, subject: person.subject, nowMs }
      await keepAnswer(this.#deployment, w, hashToken(begun.token), kept)
      return { ...begun, userId: user.id }
    })
    const { token, expiresAtMs, userId } = session
    log.info('signed in', { userId, provider: provider.id, ip: origin.ip, requestId: origin.requestId })
    // A refresh moves the session's end, not the cookie's.
    return { token, expiresAtMs: answer.refreshToken === null ? expiresAtMs : nowMs + SESSION_MAX_MS }
  }

  async leaving(sessionHash: string): Promise<() => Promise<string | null>> {
    const { feed, options } = this.#deployment
    const held = await findProviderSession(feed.db, sessionHash)
    const idToken = held === null ? null : idTokenOf(this.#deployment, held)
    const way = this.#ways.get(held?.provider ?? '')
    if (way === undefined || idToken === null) return () => Promise.resolve(null)
    return () => way.client.endSessionUrl(idToken, `${options.publicUrl}/sign-in`)
  }

  async sweep(): Promise<void> {
    await this.#lasting.sweep()
  }

  async close(): Promise<void> {
    await this.#lasting.close()
  }
}

/** The providers of this deployment, as its operator set them. */
export function providerSignIn(deployment: Deployment, limit: SignInLimit): ProviderSignIn {
  return new ProviderWays(deployment, limit)
}
