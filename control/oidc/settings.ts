/** What the operator says of one provider of identities: parsed before it comes here. */
import type { Role } from '../wire/index.ts'

export interface OidcProvider {
  /** `[a-z0-9-]`, at most 40; part of the callback's path and of what is stored. */
  readonly id: string
  /** On the button. */
  readonly name: string
  /** https; plain http on loopback only. */
  readonly issuer: string
  readonly clientId: string
  /** Null: a public client, by PKCE alone. */
  readonly clientSecret: string | null
  readonly scopes: readonly string[]
  /** More fields of the authorisation request, such as `access_type: offline`. */
  readonly parameters: Readonly<Record<string, string>>
  /** The claim with a person's groups, dotted where it is inside another; null: none is looked at. */
  readonly groupsClaim: string | null
  /** Values of that claim → roles; null: roles are set here, by hand. */
  readonly roles: Readonly<Record<string, Role>> | null
  /** Values of that claim → names of groups here. */
  readonly groups: Readonly<Record<string, string>>
  /** Whom a first sign-in lets in: by the domain of a verified e-mail, by a value of the claim, by invitation. */
  readonly allow: {
    readonly domains: readonly string[]
    readonly groups: readonly string[]
    readonly invitation: boolean
  }
  readonly linkByVerifiedEmail: boolean
  /** How long a session lasts whatever the provider's tokens say, in ms; null: as they say. */
  readonly sessionMs: number | null
}

/** Where a provider sends the browser back; registered there. */
export const callbackUrl = (publicUrl: string, id: string): string => `${publicUrl}/auth/oidc/${id}/callback`
