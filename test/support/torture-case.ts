// The form of one case of the torture table: what a visitor sends, what the app does, what must arrive where.
import type { EdgeUnderTest } from './gateway-edge.ts'
import type { TortureClient } from './torture-client.ts'
import type { Framing } from './torture-messages.ts'
import type { Script, TortureUpstream } from './torture-upstream.ts'

/** What carries requests to the app. */
export type Engine = 'undici' | 'compat'
export type FrontName = 'bare' | 'nginx' | 'caddy' | 'haproxy'

/** What must arrive where. In texts, `{host}` is the workspace's host as sent, `{origin}` its origin. */
export interface Expectation {
  /** Of all answers on the connection in order, 1xx too. */
  readonly statuses?: readonly number[]
  /** What matters is that it is refused: behind a front any one answer of 400 to 599 is right, or the mere end. */
  readonly refusal?: boolean
  /** Request lines at the app, without the version, in order; the honest request that follows is not listed. */
  readonly lines?: readonly string[]
  /** Field lines of the first request; names are compared exactly where no front rewrites them. */
  readonly requestHas?: readonly string[]
  /** Matches no field line or trailer of any request. */
  readonly requestLacks?: RegExp
  readonly requestBody?: string
  readonly requestFraming?: Framing | 'any'
  /** Field lines of the last answer. */
  readonly answerHas?: readonly string[]
  readonly answerLacks?: RegExp
  /** Status line of the last answer, from the status on. */
  readonly reason?: string
  readonly body?: string | RegExp
  readonly answerFraming?: Framing
  /** Field lines after the last chunk of the last answer. */
  readonly trailers?: readonly string[]
  /** The last answer is visibly not whole. */
  readonly cut?: boolean
  /** The connection takes another request afterwards (true), or is over (false). */
  readonly kept?: boolean | undefined
  /** Connections that the app has seen, the honest request's included. */
  readonly connections?: number
}

/** Why an expectation is another one there. */
export type Deviation = Expectation & { readonly why: string }
/** The case can't be put, or can't be seen, there. */
export interface Cannot {
  readonly cannot: string
}

interface Base {
  readonly name: string
  /** Deviations of an engine; those of fronts are in `torture-deviations.ts`. */
  readonly on?: Readonly<Partial<Record<Engine, Deviation | Cannot>>>
  /** Address of the app; 127.0.0.1 unless given. */
  readonly upstreamHost?: string
  readonly app?: Script
}

/** Bytes in, bytes out. */
export interface Told extends Base, Expectation {
  /** `{host}`, `{origin}` and `{cookie}` (alice's) are filled in. Pieces leave one after the other, each in a write of its own. */
  readonly send: string | readonly string[]
  /** What the app says to every whole request; a script in `app` instead where that isn't enough. */
  readonly says?: string
  /** The visitor's answers have no bodies. */
  readonly isHead?: boolean
  readonly statuses: readonly number[]
  readonly lines: readonly string[]
}

/** A case that takes several turns. */
export interface Played extends Base {
  /** Throws, or says what is wrong. */
  readonly play: (stage: Stage) => Promise<void>
}

export type Case = Told | Played

/** Where one case is played. */
export interface Stage {
  readonly engine: Engine
  readonly front: FrontName
  readonly edge: EdgeUnderTest
  readonly upstream: TortureUpstream
  /** With the port of the public URL. */
  readonly host: string
  readonly origin: string
  /** Alice's cookie pair for this host. */
  readonly cookie: string
  readonly workspaceId: string
  client(isHead?: boolean): Promise<TortureClient>
  /** Fills `{host}`, `{origin}`, `{cookie}` in. */
  fill(text: string): string
  /** Notes a problem unless true. */
  ok(isSo: boolean, what: string): void
  same(found: unknown, wanted: unknown, what: string): void
  /** A request on a connection of its own gets its own answer. */
  honest(): Promise<void>
}

/** The expectation for one engine and front, or why there is none; what the front does counts most. */
export function expectedOn<C extends Case>(
  one: C,
  engine: Engine,
  ofFront: Deviation | Cannot | undefined,
): C | Cannot {
  let found: C = one
  for (const more of [one.on?.[engine], ofFront]) {
    if (more === undefined) continue
    if ('cannot' in more) return more
    found = { ...found, ...more }
  }
  return found
}
