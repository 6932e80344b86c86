/** Routes go in, a Koa app comes out: body → who → whose → route → answer; one way for every error. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import Koa from 'koa'
import Router, { type RouterContext } from 'koa-router'
import { routeActions, tellingOf } from '../audit/audit-actions.ts'
import type { Telling } from '../audit/audit-actions.ts'
import { audited, tellDenied } from '../audit/audited.ts'
import type { Need, Person } from '../authorization/authorization.ts'
import { authorize, routeNeeds } from '../authorization/authorization.ts'
import { BODY_MAX, drain, readJson } from './body.ts'
import type { Call, Needs, Reply, Route } from './call.ts'
import type { Deployment } from '../deployment.ts'
import type { SessionKeeper } from '../service/sessions.ts'
import type { Workspace } from '../store/workspaces.ts'
import type { Found } from '../authorization/whose.ts'
import { identityNow, workspaceFor } from '../authorization/whose.ts'
import { ApiError, DEVICE_COOKIE_SECONDS, SIGN_OUT_AT_HEADER } from '../wire/index.ts'
import type { AccessRole, ApiCode, Identity, NewSession, Origin } from '../wire/index.ts'

interface Given {
  readonly identity: Identity
  readonly origin: Origin
}

export interface ApiOptions {
  readonly needs?: Needs
  readonly actions?: Readonly<Record<string, Telling>>
  /** Resolves when gateways in other processes know of all changes so far: then the answer to a change is given. */
  readonly acknowledged?: () => Promise<void>
}

export interface Api {
  readonly router: Router
  request(req: IncomingMessage, res: ServerResponse, identity: Identity, origin: Origin): void
  /** Refuses who comes from now on with `unavailable`; resolves when all others are answered. */
  close(): Promise<void>
}

/** The dashboard's cookie: host-only, `__Host-` where TLS is. */
export function sessionCookie(publicUrl: string, session: NewSession | 'clear', now: number): string {
  return session === 'clear'
    ? cookie(publicUrl, 'session', '', 0)
    : cookie(publicUrl, 'session', session.token, (session.expiresAtMs - now) / 1000)
}

function cookie(publicUrl: string, name: 'session' | 'device', value: string, seconds: number): string {
  const secure = publicUrl.startsWith('https:')
  const age = Math.max(0, Math.floor(seconds))
  const start = `${secure ? '__Host-' : ''}postern_${name}=${value}`
  return `${start}; Path=/; Max-Age=${age}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
}

/** Where another Authorization would help (RFC 9110 §11.6.1). */
const isOfBearer = (code: ApiCode): boolean =>
  code === 'unauthenticated' || code === 'gateway_token_refused' || code === 'gateway_unknown'

/** What the path takes (RFC 9110 §15.5.6: a 405 says so). */
const methodsOf = (ctx: Koa.Context): string =>
  [...new Set((ctx as unknown as RouterContext).matched?.flatMap(({ methods }) => methods))].join(', ')

function problemOf(err: unknown): ApiError {
  if (err instanceof ApiError) return err
  const status = (err as { status?: unknown }).status
  if (status === 405 || status === 501) return new ApiError('method_not_allowed')
  if (status === 400) return new ApiError('bad_request', undefined, { cause: err })
  return new ApiError('internal', undefined, { cause: err })
}

class HttpApi implements Api {
  readonly router: Router
  readonly #deployment: Deployment
  readonly #sessions: SessionKeeper
  readonly #acknowledged: () => Promise<void>
  readonly #given = new WeakMap<IncomingMessage, Given>()
  readonly #underWay = new Set<Promise<void>>()
  #isClosing = false
  readonly #handle: (req: IncomingMessage, res: ServerResponse) => Promise<void>

  constructor(
    deployment: Deployment,
    sessions: SessionKeeper,
    routes: readonly Route[],
    { needs = routeNeeds, actions = routeActions, acknowledged = () => Promise.resolve() }: ApiOptions,
  ) {
    this.#deployment = deployment
    this.#sessions = sessions
    this.#acknowledged = acknowledged
    this.router = new Router({ sensitive: true, strict: true })
    for (const route of routes) this.#mount(route, needs, actions)
    const app = new Koa()
    app.silent = true
    app.use((ctx, next) => this.#answer(ctx, next))
    app.use(this.router.routes() as unknown as Koa.Middleware)
    app.use(
      this.router.allowedMethods({
        throw: true,
        methodNotAllowed: () => new ApiError('method_not_allowed'),
        notImplemented: () => new ApiError('method_not_allowed'),
      }) as unknown as Koa.Middleware,
    )
    this.#handle = app.callback()
  }

  request(req: IncomingMessage, res: ServerResponse, identity: Identity, origin: Origin): void {
    this.#given.set(req, { identity, origin })
    const answered = this.#handle(req, res)
      .catch((err: unknown) => {
        this.#deployment.log.error('an answer could not be written', { err, requestId: origin.requestId })
        res.destroy()
      })
      .finally(() => this.#underWay.delete(answered))
    this.#underWay.add(answered)
  }

  async close(): Promise<void> {
    this.#isClosing = true
    await Promise.all(this.#underWay)
  }

  /** Runs first and last: common headers, and every error as problem+json. */
  async #answer(ctx: Koa.Context, next: () => Promise<void>): Promise<void> {
    const origin = this.#given.get(ctx.req)?.origin
    const requestId = origin?.requestId ?? ''
    ctx.set('Cache-Control', 'no-store')
    ctx.set('X-Content-Type-Options', 'nosniff')
    ctx.set('X-Request-Id', requestId)
    ctx.set('Cross-Origin-Resource-Policy', 'same-origin')
    try {
      if (this.#isClosing) throw new ApiError('unavailable', 'The server is stopping; try again in a moment.')
      await next()
      if (ctx.status === 404 && ctx.body == null) throw new ApiError('not_found')
    } catch (err) {
      await drain(ctx.req)
      const problem = problemOf(err)
      if (problem.status >= 500)
        this.#deployment.log.error('a request failed', {
          err: problem.cause ?? problem,
          requestId,
          method: ctx.method,
        })
      ctx.status = problem.status
      ctx.set('Content-Type', 'application/problem+json')
      if (problem.status === 405) ctx.set('Allow', methodsOf(ctx))
      if (isOfBearer(problem.code)) ctx.set('WWW-Authenticate', 'Bearer realm="postern"')
      if (problem.code === 'payload_too_large') ctx.set('Connection', 'close')
      if (problem.retryAfterSeconds !== undefined) ctx.set('Retry-After', String(problem.retryAfterSeconds))
      ctx.body = JSON.stringify(problem.problem(requestId))
    }
  }

  #mount(route: Route, needs: Needs, actions: Readonly<Record<string, Telling>>): void {
    const key = `${route.method} ${route.path}`
    const need = needs[key]
    if (need === undefined) throw new Error(`${key} has no row in the authorisation table`)
    const telling = tellingOf(key, actions)
    this.router.register(route.path, [route.method.toLowerCase()], async (ctx) => {
      await route.admit?.(ctx.req.headers)
      const isHere = ctx.req.complete
      const body = await readJson(ctx.req, route.bodyMax ?? BODY_MAX)
      const first = this.#given.get(ctx.req)
      if (first === undefined) throw new ApiError('unavailable')
      const given = isHere || need.who === 'public' ? first : await this.#again(first)
      const leave = new AbortController()
      ctx.res.once('close', () => {
        if (!ctx.res.writableFinished) leave.abort(new ApiError('bad_request', 'The client went away.'))
      })
      const reply = await this.#run({ route, need, telling }, given, {
        params: ctx.params as Record<string, string>,
        query: new URLSearchParams(ctx.querystring),
        headers: ctx.req.headers,
        body,
        origin: given.origin,
        signal: leave.signal,
      })
      const { stream } = reply
      const text = stream && this.#whileAllowed(stream.text, need, given)
      const whole = stream && text ? { ...reply, stream: { ...stream, text } } : reply
      this.#write(ctx as unknown as Koa.Context, whole)
    })
  }

  async #again({ identity, origin }: Given): Promise<Given> {
    const { feed, now } = this.#deployment
    return { identity: await identityNow(feed.db, identity, now()), origin }
  }

  /** Long answers end in the middle when the right to them does, however slowly they are read. */
  async *#whileAllowed(text: AsyncIterable<string>, need: Need, given: Given): AsyncGenerator<string> {
    const readsAll = authorize(need, given.identity)?.readsAll
    for await (const part of text) {
      if (authorize(need, (await this.#again(given)).identity)?.readsAll !== readsAll)
        throw new ApiError('forbidden')
      yield part
    }
  }

  /** Who asks, and the workspace that the path names, if it is theirs. */
  async #admit(
    route: Route,
    need: Need,
    identity: Identity,
    call: Pick<Call, 'params' | 'origin'>,
  ): Promise<{ person: Person | null; found: Found | null }> {
    const { feed, now } = this.#deployment
    try {
      const person = authorize(need, identity)
      const isOfOne = need.who === 'workspace' && person !== null
      const found = isOfOne ? await workspaceFor(feed.db, person, call.params['id'] ?? '', need, now()) : null
      return { person, found }
    } catch (err) {
      await tellDenied(this.#deployment, err, route, identity, call)
      throw err
    }
  }

  async #run(
    { route, need, telling }: { route: Route; need: Need; telling: Telling },
    { identity }: Given,
    call: Omit<Call, 'person' | 'workspace' | 'role' | 'sessionHash'>,
  ): Promise<Reply> {
    const { person, found } = await this.#admit(route, need, identity, call)
    if (person !== null && identity.kind === 'session') await this.#sessions.used(identity.sessionHash)
    if (person !== null && identity.kind === 'token') this.#sessions.tokenUsed(identity.tokenId)
    const inPath = (): Found => {
      if (found === null) throw new Error(`${route.path} has no workspace in its path`)
      return found
    }
    const full: Call = {
      ...call,
      sessionHash: identity.kind === 'session' ? identity.sessionHash : null,
      get person(): Person {
        if (person === null) throw new Error(`${route.path} has nobody behind it`)
        return person
      },
      get workspace(): Workspace {
        return inPath().workspace
      },
      get role(): AccessRole | null {
        return inPath().role
      },
    }
    const act = { route, telling, identity, person, workspace: found?.workspace ?? null }
    const reply = await audited(this.#deployment, act, call, () => route.run(full))
    if (route.method !== 'GET' && need.who !== 'agent') await this.#acknowledged()
    return reply
  }

  #write(ctx: Koa.Context, reply: Reply): void {
    const { options, now } = this.#deployment
    ctx.status = reply.status
    const { session } = reply
    if (session !== undefined) {
      const own = sessionCookie(options.publicUrl, session, now())
      const device = session === 'clear' ? undefined : session.device
      const known = device && cookie(options.publicUrl, 'device', device, DEVICE_COOKIE_SECONDS)
      ctx.set('Set-Cookie', known === undefined ? [own] : [own, known])
    }
    if (reply.signOutAt !== undefined) ctx.set(SIGN_OUT_AT_HEADER, reply.signOutAt)
    if (reply.stream !== undefined) {
      const { type, fileName, text } = reply.stream
      ctx.set('Content-Type', type)
      ctx.set('Content-Disposition', `attachment; filename="${fileName}"`)
      ctx.body = Readable.from(text)
      return
    }
    if (reply.body === undefined) {
      ctx.body = null
      ctx.status = reply.status
      return
    }
    ctx.set('Content-Type', 'application/json; charset=utf-8')
    ctx.body = JSON.stringify(reply.body)
  }
}

/** @throws Error for a route without a row in the table. */
export function httpApi(
  deployment: Deployment,
  sessions: SessionKeeper,
  routes: readonly Route[],
  options: ApiOptions = {},
): Api {
  return new HttpApi(deployment, sessions, routes, options)
}
