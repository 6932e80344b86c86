// A visit and what is to be said come in; the edge's own answer goes out: a page to a browser's navigation, a problem to a program.
import {
  type ApiCode,
  ApiError,
  apiCodes,
  type EdgeRoute,
  pathLabelOf,
  paths,
  reaches,
  roleOn,
  type DenialReason,
} from '../../control/wire/index.ts'
import type { CapCode } from '../limits/caps.ts'
import { addCors, preflightHeaders } from '../decide/cors.ts'
import type { Decision } from '../decide/decide.ts'
import { hasBody, hstsOf, originOf, type Visit } from '../edge.ts'
import { type Card, cardPage, cardPolicy } from './card.ts'
import {
  codeCard,
  failureCard,
  misdirectedCard,
  noDefaultPortCard,
  notFoundCard,
  stoppedCard,
  wakingCard,
  type WorkspaceCardInput,
} from './cards.ts'
import { passwordCard } from './link-card.ts'
import type { Place } from '../host/host.ts'
import { composedPort, namedPort } from '../decide/ports.ts'
import { isNavigation } from '../headers/scan.ts'
import { RouteClass } from '../seen/classes.ts'
import { count } from '../seen/counters.ts'
import { type Site, workspaceOrigin } from '../host/site.ts'

/** A workspace whose port doesn't listen yet counts as waking for so long after its start. */
export const WAKING_MS = 60_000

const DRAIN_BYTES = 1024 * 1024
const DRAIN_MS = 1000

/** Reads on what the visitor still sends, up to 1 MiB or 1 s, then calls `done`: closing on unread bytes would reset the connection. */
export function drain(visit: Visit, done: () => void): void {
  const { req } = visit
  if (req.complete || req.destroyed) return done()
  let left = DRAIN_BYTES
  const finish = (): void => {
    clearTimeout(timer)
    req.removeListener('data', onData)
    req.removeListener('end', finish)
    req.removeListener('close', finish)
    done()
  }
  const onData = (chunk: Buffer): void => {
    left -= chunk.length
    if (left < 0) finish()
  }
  const timer = setTimeout(finish, DRAIN_MS)
  req.on('data', onData)
  req.on('end', finish)
  req.on('close', finish)
  req.resume()
}

/** Sends one whole answer of the edge's own. After half an answer of an app, the connection ends instead. */
export function send(visit: Visit, status: number, headers: string[], body: string): void {
  const { req, res, scan } = visit
  if (res.headersSent || res.destroyed) return void res.destroy()
  const bytes = Buffer.from(body, 'utf8')
  visit.seen.head()
  visit.seen.sent = visit.method === 'HEAD' ? 0 : bytes.length
  const isUnread = hasBody(scan) && !req.complete
  // A body that waits for leave will not come; one in an unknown coding can't be read, Node ends its connection.
  const isReadable =
    scan.transferEncoding === null || scan.transferEncoding.trim().toLowerCase() === 'chunked'
  const isComing = isUnread && isReadable && !visit.expectsContinue
  const head = [...headers, 'Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff']
  if (status !== 204 && status !== 304) head.push('Content-Length', String(bytes.length))
  if (isUnread) head.push('Connection', 'close')
  if (visit.allowOrigin !== null) addCors(head, visit.allowOrigin)
  const hsts = hstsOf(visit)
  if (hsts !== null) head.push('Strict-Transport-Security', hsts)
  res.writeHead(status, head)
  if (!isComing) return void res.end(visit.method === 'HEAD' ? undefined : bytes)
  if (visit.method !== 'HEAD' && bytes.length > 0) res.write(bytes)
  else res.flushHeaders()
  drain(visit, () => res.end())
}

/** True where a page is understood; never on a WebSocket's request. */
export const wantsPage = (visit: Visit): boolean => visit.socket === null && isNavigation(visit.scan)

/** The origins that a form of a page may lead to, redirects included. */
function formOrigins(site: Site): string[] {
  const origins = [site.publicOrigin, `${site.scheme}://*.${site.baseDomain}${site.portSuffix}`]
  return site.paths === null ? origins : [...origins, site.paths.origin]
}

/** Sends a card; `headers` are flat. */
export function sendCard(visit: Visit, status: number, card: Card, headers: readonly string[] = []): void {
  const own = [
    ...headers,
    'Content-Type',
    'text/html; charset=utf-8',
    'Content-Security-Policy',
    cardPolicy(formOrigins(visit.edge.site), card),
    'Referrer-Policy',
    'same-origin',
    'Cross-Origin-Opener-Policy',
    'same-origin',
    'Vary',
    'Cookie, Authorization, Sec-Fetch-Mode, Accept',
  ]
  if (visit.place.kind === 'dashboard') own.push('Origin-Agent-Cluster', '?1')
  send(visit, status, own, cardPage(card, visit.requestId))
}

/** Sends the visitor elsewhere by 303; `location` is made by the edge, never by the visitor. */
export function sendRedirect(visit: Visit, location: string, headers: readonly string[] = []): void {
  send(visit, 303, ['Location', location, 'Referrer-Policy', 'no-referrer', ...headers], '')
}

/** Sends the visitor to where this is, method and body included (308), by a path of this host. */
export function sendMoved(visit: Visit, path: string): void {
  send(visit, 308, ['Location', path], '')
}

/** What an answer says beside its code. */
export interface Saying {
  readonly detail?: string
  readonly card?: Card
  readonly headers?: readonly string[]
  readonly retryAfterSeconds?: number
}

/** Answers with a code of the API: as a card to a navigation, else as `application/problem+json`. */
export function answerCode(visit: Visit, code: ApiCode, saying: Saying = {}): void {
  count(visit.edge.counters.answers, code)
  visit.seen.cause = code
  const { status } = apiCodes[code]
  const headers = [...(saying.headers ?? [])]
  const retryAfter = saying.retryAfterSeconds ?? (status === 503 || status === 429 ? 1 : undefined)
  if (retryAfter !== undefined) headers.push('Retry-After', String(retryAfter))
  if (status === 401) headers.push('WWW-Authenticate', 'Bearer realm="postern"')
  if (status === 405) headers.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS')
  if (wantsPage(visit)) return sendCard(visit, status, saying.card ?? codeCard(code, saying.detail), headers)
  headers.push(
    'Content-Type',
    'application/problem+json',
    'Vary',
    'Cookie, Authorization, Sec-Fetch-Mode, Accept',
  )
  const problem = new ApiError(code, saying.detail).problem(visit.requestId)
  send(visit, status, headers, `${JSON.stringify(problem)}\n`)
}

/** Answers that a cap is met. */
export function answerCapped(visit: Visit, code: CapCode): void {
  count(visit.edge.counters.capped, code)
  // A connection that is one too many is not kept for more.
  const headers = visit.peer.guest?.isOver === true ? ['Connection', 'close'] : []
  answerCode(visit, code, { headers })
}

/** What the cards of a workspace's host need. */
export function cardInput(
  visit: Visit,
  route: EdgeRoute,
  maySteer: boolean,
  port: number | null,
): WorkspaceCardInput {
  const { site } = visit.edge
  const prefix = visit.place.kind === 'workspace' ? visit.place.prefix : ''
  return { route, maySteer, port, target: prefix + visit.target, prefix, publicOrigin: site.publicOrigin }
}

/** Notes why a decision denied a visit; the other decisions deny nobody, they say what is the matter. */
export function noteDenial(
  visit: Visit,
  decision: { readonly kind: Decision['kind']; readonly why?: string },
): void {
  const { kind } = decision
  if (kind !== 'sign-in' && kind !== 'not-found' && kind !== 'refused' && kind !== 'password') return
  const reason = kind === 'refused' ? (decision.why ?? 'origin') : kind
  visit.seen.reason = reason
  const door =
    visit.seen.kind === RouteClass.forwardAuth ? 'forward_auth' : visit.socket === null ? 'http' : 'upgrade'
  count(visit.edge.counters.denials, `${door} ${reason}`)
  const { userId, workspaceId } = visit.seen
  visit.edge.activity.denied(reason as DenialReason, userId, workspaceId, () => originOf(visit))
}

const isOnOwnHost = (place: Place): boolean => place.kind === 'workspace' && place.prefix === ''

/** Answers every decision but `allow`, and but the sign-in of a navigation, which the hand-off takes. */
export function answerDecision(visit: Visit, decision: Exclude<Decision, { kind: 'allow' }>): void {
  const { site } = visit.edge
  const port =
    'route' in decision && visit.place.kind === 'workspace'
      ? (namedPort(decision.route, visit.place) ?? composedPort(decision.route.paths, visit.target))
      : null
  switch (decision.kind) {
    case 'preflight':
      count(visit.edge.counters.answers, 'preflight')
      return send(visit, 204, preflightHeaders(visit.scan), '')
    case 'sign-in':
      return answerCode(visit, 'unauthenticated', {
        detail: `Sign in at ${site.publicOrigin}${paths.signIn}.`,
      })
    case 'not-found':
      return answerCode(visit, 'not_found', {
        card: notFoundCard(site.publicOrigin, isOnOwnHost(visit.place) ? 'own' : null),
      })
    case 'refused':
      return answerCode(visit, decision.why === 'origin' ? 'wrong_origin' : 'missing_scope', {
        detail:
          decision.why === 'origin'
            ? 'Another site made this request with your sign-in.'
            : 'Opening a port takes the scope connect.',
      })
    case 'password':
      return answerCode(visit, 'password_required', { card: passwordCard(visit.target, null) })
    case 'no-default-port': {
      const { name } = decision.route
      const urlOf = (to: number): string =>
        isOnOwnHost(visit.place) || site.paths === null
          ? workspaceOrigin(site, `${name}-${to}`)
          : `${site.paths.origin}${pathLabelOf(name)}/${to}/`
      const card = noDefaultPortCard(cardInput(visit, decision.route, decision.maySteer, null), urlOf)
      return answerCode(visit, 'no_default_port', { card })
    }
    case 'stopped': {
      const card = stoppedCard(cardInput(visit, decision.route, decision.maySteer, port))
      const said = decision.maySteer && decision.route.reason !== '' ? { detail: decision.route.reason } : {}
      return answerCode(visit, 'workspace_stopped', { card, retryAfterSeconds: 5, ...said })
    }
    case 'starting': {
      const asked = port ?? decision.route.defaultPort
      return answerCode(visit, 'workspace_starting', {
        card: wakingCard(cardInput(visit, decision.route, decision.maySteer, asked)),
        retryAfterSeconds: 1,
      })
    }
    case 'not-reachable':
      return answerCode(visit, 'not_reachable_directly', {
        card: failureCard(
          cardInput(visit, decision.route, decision.maySteer, decision.port),
          'not_reachable_directly',
        ),
      })
    case 'unavailable':
      return answerCode(visit, visit.edge.table.isSuspended ? 'control_away' : 'unavailable')
    default:
      return answerCode(visit, 'internal')
  }
}

/** Answers for an app that failed a request, or that isn't listening yet; `detail` is for who may steer it. */
export function answerFailure(
  visit: Visit,
  code: ApiCode,
  at: { readonly workspaceId: string; readonly port: number; readonly userId: string },
  detail?: string,
): void {
  const { table } = visit.edge
  const route = table.routeById(at.workspaceId)
  if (route === undefined) return answerCode(visit, code)
  const user = table.user(at.userId)
  const role = user === undefined ? null : roleOn(route, user, visit.edge.now())
  const input = cardInput(visit, route, reaches(role, 'editor'), at.port)
  const isWaking =
    code === 'upstream_unreachable' && visit.edge.now() - table.runningSinceMs(at.workspaceId) < WAKING_MS
  if (isWaking) return answerCode(visit, 'workspace_starting', { card: wakingCard(input) })
  const card = failureCard(input, code, detail)
  answerCode(visit, code, detail === undefined ? { card } : { card, detail })
}

/** The host isn't ours. */
export function answerMisdirected(visit: Visit): void {
  answerCode(visit, 'misdirected', { card: misdirectedCard(visit.edge.site.publicOrigin) })
}
