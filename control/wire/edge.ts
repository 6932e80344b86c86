/**
 * The contract between control and gateways: the facts that a gateway decides on, and the few acts that it asks for.
 * Facts are rows by key, each the whole row; `gone` removes one. Hashes are lower-case hex SHA-256 of the secret.
 */
import type { Reach } from '@postern/plugin'
import type { EdgeNote } from './activity.ts'
import type { AccessGrant } from './access.ts'
import type { Role, Scope } from './account.ts'
import type { ApiCode } from './codes.ts'
import type { EdgePath, EdgePort } from './ports.ts'
import type { Phase } from './workspace.ts'

export interface EdgeRoute {
  readonly workspaceId: string
  readonly name: string
  /** Who answers for it; where a group owns it, its owner only while in that group. */
  readonly ownerId: string
  readonly ownerGroupId: string | null
  readonly grants: readonly AccessGrant[]
  readonly aliases: readonly string[]
  /** Where an alias leads to one port instead of the default app; absent: none does. */
  readonly aliasPorts?: readonly { readonly name: string; readonly port: number }[] | undefined
  readonly phase: Phase
  /** Why it is so, one sentence for its owner; '' when there is nothing to say. */
  readonly reason: string
  /** '' while nothing runs. */
  readonly incarnation: string
  /** `none` when this gateway's machine is not the instance's. */
  readonly reach: Reach
  /** The port of `<name>.<base>` where no path fits: the first declared one; null when none is declared. */
  readonly defaultPort: number | null
  readonly ports: readonly EdgePort[]
  /** Which ports `<name>.<base>` is composed of, in no order; the longest prefix that fits wins. */
  readonly paths: readonly EdgePath[]
  /** The versions of the passwords before its ports; port null: before those that have none of their own. Absent: none. */
  readonly passwords?: readonly { readonly port: number | null; readonly version: string }[] | undefined
}

export interface EdgeUser {
  readonly id: string
  readonly username: string
  readonly email: string
  readonly role: Role
  readonly groups: readonly { readonly id: string; readonly name: string }[]
}

/**
 * A browser's session: on the dashboard's host, or on one workspace host (`label`), child of a dashboard session. A
 * guest's, who has no account, has userId '' and hangs on the first session that this guest got, which is its own parent.
 */
export interface EdgeSession {
  readonly hash: string
  readonly userId: string
  readonly expiresAtMs: number
  readonly workspace: {
    readonly parentHash: string
    readonly workspaceId: string
    readonly label: string
  } | null
  /** Of a guest who came by a link; null ports: all that are open to links. */
  readonly link?: { readonly id: string; readonly ports: readonly number[] | null } | null | undefined
  /** Versions of the passwords that were given in it; they hold for its children. */
  readonly passes?: readonly string[] | undefined
}

/** A token of one workspace is worth nothing elsewhere. */
export interface TokenBounds {
  readonly workspaceId: string
  /** Null: all ports that its user may open. */
  readonly ports: readonly number[] | null
}

export interface EdgeToken {
  readonly hash: string
  readonly id: string
  readonly userId: string
  readonly scopes: readonly Scope[]
  /** Null: all workspaces that its user may open. */
  readonly bounds: TokenBounds | null
  readonly expiresAtMs: number | null
  /** Versions of the passwords that were given with it. */
  readonly passes?: readonly string[] | undefined
}

/** An Ed25519 key that says who a visitor is (RFC 8037): the newest whose time has come signs. */
export interface SigningKey {
  readonly kid: string
  /** The public part, base64url. */
  readonly x: string
  /** The private part, base64url. */
  readonly d: string
  readonly signsFromMs: number
}

export type EdgeFact =
  | { readonly kind: 'route'; readonly key: string; readonly row: EdgeRoute }
  | { readonly kind: 'user'; readonly key: string; readonly row: EdgeUser }
  | { readonly kind: 'session'; readonly key: string; readonly row: EdgeSession }
  | { readonly kind: 'token'; readonly key: string; readonly row: EdgeToken }
  | { readonly kind: 'gone'; readonly of: 'route' | 'user' | 'session' | 'token'; readonly key: string }
  /** CIDR blocks of all hosts' workspaces: listeners drop such peers unread. */
  | { readonly kind: 'subnets'; readonly row: readonly string[] }
  | { readonly kind: 'signing'; readonly row: readonly SigningKey[] }

/** Receives facts in revision order. `reset` replaces all; `apply` changes some. Both act before they return. */
export interface EdgeSink {
  reset(revision: number, facts: readonly EdgeFact[]): void
  apply(revision: number, facts: readonly EdgeFact[]): void
}

/** Who stands behind a request, as the gateway found by cookie or token. */
export type Identity =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'session'
      readonly user: EdgeUser
      readonly sessionHash: string
      /** Versions of the passwords that were given. */
      readonly passes?: readonly string[] | undefined
    }
  | {
      readonly kind: 'token'
      readonly user: EdgeUser
      readonly tokenId: string
      readonly scopes: readonly Scope[]
      readonly bounds: TokenBounds | null
      readonly passes?: readonly string[] | undefined
    }
  /** A guest on one workspace host, whom no app is told of. */
  | {
      readonly kind: 'link'
      /** Null: came by no link, and is here for the passes alone. */
      readonly linkId: string | null
      readonly workspaceId: string
      /** The ports that the link covers; null: all that are open to links. */
      readonly ports: readonly number[] | null
      readonly sessionHash: string
      readonly passes?: readonly string[] | undefined
    }

/** The account behind a request; null: nobody's, or a guest's, who has none. */
export function userOf(identity: Identity): EdgeUser | null {
  return identity.kind === 'session' || identity.kind === 'token' ? identity.user : null
}

/** Where a request came from, for limits, lists and audit. */
export interface Origin {
  readonly ip: string
  readonly userAgent: string
  readonly requestId: string
  /** The device cookie that the browser brought. */
  readonly device?: string | undefined
}

/** How long a browser keeps its device cookie, in seconds: as long as browsers keep any. */
export const DEVICE_COOKIE_SECONDS = 400 * 86_400

export interface NewSession {
  /** The cookie's value. */
  readonly token: string
  readonly expiresAtMs: number
  /** A device cookie for a browser that has none for this user: what it gets wrong next, it gets wrong alone. */
  readonly device?: string | undefined
  /** On a workspace host whose name was another owner's before: since when it isn't; browsers are to forget the rest. */
  readonly reusedAtMs?: number | undefined
}

/** A provider of identities that the sign-in page offers. */
export interface SignInProvider {
  /** As in the configuration, `[a-z0-9-]`; part of the callback's path. */
  readonly id: string
  readonly name: string
  /** Whoever holds an invitation may redeem it by signing in there. */
  readonly invites: boolean
}

/** A sign-in that has begun at a provider. */
export interface BegunSignIn {
  /** Where the browser goes. */
  readonly location: string
  /** What this browser keeps until it is back: sealed by control, fit for a cookie. */
  readonly flows: string
}

/** How a sign-in at a provider ended: a session, or why not. */
export interface FinishedSignIn {
  readonly session: NewSession | null
  readonly refusal: { readonly code: ApiCode; readonly detail?: string | undefined } | null
  /** Where the person was going, as `beginSignIn` was told; `/` where that isn't known. */
  readonly next: string
  /** What the browser keeps from now on; '' for nothing. */
  readonly flows: string
}

/** What a gateway asks of control. Each rejects with ApiError. The sink knows what was made before the promise resolves. */
export interface EdgeControl {
  /** True while there are no users. */
  setupOpen(): Promise<boolean>
  /** @throws ApiError setup_closed, forbidden (wrong token), invalid_body */
  setup(
    body: { token: string; username: string; password: string; email?: string },
    origin: Origin,
  ): Promise<NewSession>
  /** @throws ApiError invalid_credentials, rate_limited */
  signIn(body: { username: string; password: string }, origin: Origin): Promise<NewSession>
  /** By an administrator's one-time link. @throws ApiError forbidden (no such link now), invalid_body, rate_limited */
  resetPassword(body: { token: string; password: string }, origin: Origin): Promise<NewSession>
  /** Makes the invited user. @throws ApiError forbidden (no such link now), invalid_body, name_taken, rate_limited */
  acceptInvitation(
    body: { token: string; username: string; password: string },
    origin: Origin,
  ): Promise<NewSession>
  /** A session, or one of its children on a workspace host, was used now. */
  sessionUsed(sessionHash: string): Promise<void>
  /** An access token opened a port; written down by the next sweep. */
  tokenUsed(tokenId: string): Promise<void>
  /** Ends a dashboard session and all its children; gives where the browser then signs out at its provider, or null. */
  signOut(sessionHash: string): Promise<string | null>
  /** The providers that one may sign in at, in the operator's order. */
  providers(): Promise<readonly SignInProvider[]>
  /**
   * Begins a sign-in at a provider; `flows` is what this browser kept of earlier ones. By an invitation's secret its end
   * redeems that. @throws ApiError not_found, provider_away; with `invited` forbidden (no such link now), rate_limited
   */
  beginSignIn(given: {
    provider: string
    next: string
    flows: string | null
    invited?: { token: string; origin: Origin } | undefined
  }): Promise<BegunSignIn>
  /** Ends it, by the query with which the provider sent the browser back. Never rejects for what a visitor can bring about. */
  finishSignIn(
    given: { provider: string; query: string; flows: string | null },
    origin: Origin,
  ): Promise<FinishedSignIn>
  /** A one-time code, 60 s, bound to all that is given. `challenge` is the base64url SHA-256 of the browser's nonce. */
  issueCode(grant: {
    userId: string
    parentHash: string
    workspaceId: string
    label: string
    challenge: string
  }): Promise<string>
  /**
   * Consumes the code atomically; `origin` null: an older gateway does not say. @throws ApiError forbidden for any
   * code that isn't exactly right
   */
  redeemCode(
    given: { code: string; nonce: string; label: string },
    origin: Origin | null,
  ): Promise<NewSession>
  /** The Start button: want becomes running. @throws ApiError as POST …/start */
  startWorkspace(workspaceId: string, userId: string, origin: Origin): Promise<void>
  /**
   * Uses a link once, for a guest's session on that host; `workspaceId` '' where there is none of that name.
   * @throws ApiError link_unknown, link_over, rate_limited
   */
  redeemLink(
    given: { secret: string; workspaceId: string; label: string },
    origin: Origin,
  ): Promise<NewSession>
  /** The guest of a session on another host of the same workspace. @throws ApiError forbidden */
  joinGuest(given: { sessionHash: string; label: string }, origin: Origin): Promise<NewSession>
  /** A guest's session is in use. */
  guestUsed(sessionHash: string): Promise<void>
  /**
   * A visitor who may open a port otherwise gives its password. By the hash of their session or token, which then has
   * the pass; `holder` null: nobody, who gets a guest's session with it. @throws ApiError wrong_password, rate_limited
   */
  givePassword(
    given: {
      workspaceId: string
      port: number | null
      label: string
      password: string
      holder: { readonly kind: 'session' | 'token'; readonly hash: string } | null
    },
    origin: Origin,
  ): Promise<NewSession | null>
  /** Visits to others' workspaces and refusals, told afterwards; at most `NOTES_MAX`. */
  note(notes: readonly EdgeNote[]): Promise<void>
  /** Somebody asks to be let in on a host; the same whether or not there is a workspace. @throws ApiError rate_limited */
  requestAccess(userId: string, label: string, origin: Origin): Promise<void>
}
