/** Questions to one provider go out by openid-client; verified answers come in. Every wait ends by itself. */
import type { Configuration, IDToken, ServerMetadata, TokenEndpointResponse } from 'openid-client'
import { ApiError } from '../wire/index.ts'
import type { Claims } from './claims.ts'
import { claimAt } from './claims.ts'
import { failureOf } from './failure.ts'
import type { OidcProvider } from './settings.ts'

/** How long one question may take, in seconds; a sign-in asks three at most. */
const TIMEOUT_S = 8
/** Clocks may differ by so much, in seconds. */
const SKEW_S = 60
/** What a provider says of itself is asked again after so long, in ms; until then, and while it fails, the old counts. */
const KNOWN_MS = 3_600_000
/** After a failure nobody asks again for so long, in ms: visitors don't queue before a provider that is away. */
const PAUSE_MS = 2000
/** What lasts where a provider doesn't say how long, in ms. */
const UNSAID_MS = 3_600_000

/** What a provider said, all of it verified. */
export interface Answer {
  /** Of the ID token, and where it lacks some, of the userinfo endpoint. Null: a refresh that said nothing of the person. */
  readonly claims: Claims | null
  readonly idToken: string | null
  readonly refreshToken: string | null
  /** When what it said ends. */
  readonly untilMs: number
}

export interface Question {
  readonly redirectUri: string
  readonly state: string
  readonly nonce: string
  readonly verifier: string
}

/** Each rejects with ApiError provider_…; the provider's own words are its cause. */
export interface ProviderClient {
  authorizeUrl(question: Question): Promise<string>
  /** `answerUrl`: the callback as the browser came to it. */
  exchange(answerUrl: URL, question: Question): Promise<Answer>
  /** Rejects with openid-client's own error, which `isGone` knows. */
  refresh(refreshToken: string, subject: string): Promise<Answer>
  /** Where a person signs out there; null where one can't, or it doesn't answer. */
  endSessionUrl(idToken: string, returnTo: string): Promise<string | null>
}

type Library = typeof import('openid-client')

const isPlain = (issuer: string): boolean => issuer.startsWith('http:')

class Client implements ProviderClient {
  readonly #provider: OidcProvider
  readonly #now: () => number
  #known: { readonly config: Configuration; readonly atMs: number } | null = null
  #asking: Promise<Configuration> | null = null
  #failed: { readonly err: unknown; readonly atMs: number } | null = null

  constructor(provider: OidcProvider, now: () => number) {
    this.#provider = provider
    this.#now = now
  }

  /** Asked once for all who wait; what is known serves on while it is asked anew. */
  async #config(): Promise<Configuration> {
    const known = this.#known
    if (known !== null && this.#now() - known.atMs < KNOWN_MS) return known.config
    const isPaused = this.#failed !== null && this.#now() - this.#failed.atMs < PAUSE_MS
    if (!isPaused) this.#asking ??= this.#discover()
    if (known !== null) {
      this.#asking?.catch(() => undefined)
      return known.config
    }
    if (isPaused) throw this.#failed?.err
    return this.#asking as Promise<Configuration>
  }

  async #discover(): Promise<Configuration> {
    try {
      const library = await import('openid-client')
      const { issuer, clientId } = this.#provider
      const discovered = await library.discovery(new URL(issuer), clientId, undefined, library.None(), {
        timeout: TIMEOUT_S,
        execute: isPlain(issuer) ? [library.allowInsecureRequests] : [],
      })
      const config = this.#configuration(library, discovered.serverMetadata())
      this.#known = { config, atMs: this.#now() }
      this.#failed = null
      return config
    } catch (err) {
      this.#failed = { err, atMs: this.#now() }
      throw err
    } finally {
      this.#asking = null
    }
  }

  #configuration(library: Library, server: ServerMetadata): Configuration {
    const { clientId, clientSecret, issuer } = this.#provider
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    const auth =
      clientSecret === null
        ? library.None()
        : methods.includes('client_secret_basic')
          ? library.ClientSecretBasic(clientSecret)
          : library.ClientSecretPost(clientSecret)
    const config = new library.Configuration(server, clientId, { [library.clockTolerance]: SKEW_S }, auth)
    config.timeout = TIMEOUT_S
    // TLS alone would do (OpenID Connect Core §3.1.3.7); a signature that is there is looked at.
    library.enableNonRepudiationChecks(config)
    if (isPlain(issuer)) library.allowInsecureRequests(config)
    return config
  }

  async #ask<T>(act: (library: Library, config: Configuration) => Promise<T> | T): Promise<T> {
    const config = await this.#config()
    return act(await import('openid-client'), config)
  }

  async authorizeUrl({ redirectUri, state, nonce, verifier }: Question): Promise<string> {
    const { scopes, parameters } = this.#provider
    return this.#ask(async (library, config) => {
      const url = library.buildAuthorizationUrl(config, {
        ...parameters,
        redirect_uri: redirectUri,
        response_type: 'code',
        scope: scopes.join(' '),
        state,
        nonce,
        code_challenge: await library.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      })
      return url.href
    }).catch((err: unknown) => Promise.reject(failureOf(err)))
  }

  async exchange(answerUrl: URL, { state, nonce, verifier }: Question): Promise<Answer> {
    return this.#ask(async (library, config) => {
      const tokens = await library.authorizationCodeGrant(config, answerUrl, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
      })
      return this.#answer(library, config, tokens, tokens.claims(), null)
    }).catch((err: unknown) => Promise.reject(failureOf(err)))
  }

  async refresh(refreshToken: string, subject: string): Promise<Answer> {
    return this.#ask(async (library, config) => {
      const tokens = await library.refreshTokenGrant(config, refreshToken)
      return this.#answer(library, config, tokens, tokens.claims(), subject)
    })
  }

  async #answer(
    library: Library,
    config: Configuration,
    tokens: TokenEndpointResponse,
    idClaims: IDToken | undefined,
    known: string | null,
  ): Promise<Answer> {
    const nowMs = this.#now()
    // The library looks at `exp` and `nbf`; a token from the future is as wrong.
    if (idClaims !== undefined && idClaims.iat > nowMs / 1000 + SKEW_S) throw new ApiError('provider_clock')
    const subject = idClaims?.sub ?? known
    if (subject === null || (known !== null && subject !== known)) throw new ApiError('provider_answer')
    const claims = await this.#more(library, config, tokens.access_token, subject, idClaims ?? null)
    const expiresMs = Math.floor((tokens.expires_in ?? UNSAID_MS / 1000) * 1000)
    return {
      claims,
      idToken: tokens.id_token ?? null,
      refreshToken: tokens.refresh_token ?? null,
      untilMs: idClaims === undefined ? nowMs + expiresMs : Math.floor(idClaims.exp * 1000),
    }
  }

  /** Claims that the ID token lacks are asked for at the userinfo endpoint, where there is one; its `sub` must be the same. */
  async #more(
    library: Library,
    config: Configuration,
    accessToken: string,
    subject: string,
    idClaims: Claims | null,
  ): Promise<Claims | null> {
    const { groupsClaim } = this.#provider
    const wanted = ['email', 'email_verified', ...(groupsClaim === null ? [] : [groupsClaim])]
    const isEnough = idClaims !== null && wanted.every((name) => claimAt(idClaims, name) !== undefined)
    const { userinfo_endpoint: endpoint, issuer } = config.serverMetadata()
    if (isEnough || endpoint === undefined) return idClaims
    const more = await library.fetchUserInfo(config, accessToken, subject)
    // An address and whether it is verified are said by one and the same voice.
    const { email, email_verified } = idClaims?.['email_verified'] === undefined ? more : idClaims
    return { ...more, ...(idClaims ?? { iss: issuer, sub: subject }), email, email_verified }
  }

  async endSessionUrl(idToken: string, returnTo: string): Promise<string | null> {
    try {
      return await this.#ask((library, config) => {
        if (config.serverMetadata().end_session_endpoint === undefined) return null
        return library.buildEndSessionUrl(config, {
          id_token_hint: idToken,
          post_logout_redirect_uri: returnTo,
        }).href
      })
    } catch {
      // The session here has ended; one at a provider that doesn't answer can't be.
      return null
    }
  }
}

export function providerClient(provider: OidcProvider, now: () => number): ProviderClient {
  return new Client(provider, now)
}
