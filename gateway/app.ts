// Visits to the edge's own pages come in; koa-router takes each to its flow; what no route takes is refused.
import type { IncomingMessage } from 'node:http'
import Koa from 'koa'
import Router from 'koa-router'
import { ApiError, paths } from '../control/wire/index.ts'
import { answerCode } from './pages/answer.ts'
import type { Visit } from './edge.ts'
import { acceptInvitation, reset, showInvitation, showReset } from './flows/account-links.ts'
import { askFromDashboard, askFromWorkspace } from './flows/ask.ts'
import { enter } from './flows/enter.ts'
import { authorize, finishHandOff, startFromPage } from './flows/hand-off.ts'
import { letGuestJoin } from './flows/guests.ts'
import { land } from './flows/join.ts'
import { toOwnHost } from './flows/path-mode.ts'
import { beginAtProvider, finishAtProvider } from './flows/provider.ts'
import { redeemLink, showLink } from './flows/link.ts'
import { givePassword, showPassword } from './flows/password.ts'
import { setUp, showSetup, showSignIn, signIn, signOut } from './flows/sign-in.ts'
import type { WorkspacePlace } from './host/host.ts'

interface State {
  visit: Visit
}

const onDashboard =
  (act: (visit: Visit) => Promise<void>) =>
  async ({ state }: { state: State }): Promise<void> => {
    if (state.visit.place.kind !== 'dashboard') return answerCode(state.visit, 'not_found')
    await act(state.visit)
  }

const onWorkspace =
  (act: (visit: Visit, place: WorkspacePlace) => Promise<void>) =>
  async ({ state }: { state: State }): Promise<void> => {
    const { visit } = state
    if (visit.place.kind !== 'workspace' || visit.place.prefix !== '') return answerCode(visit, 'not_found')
    await act(visit, visit.place)
  }

/** On a workspace's host, and below its prefix by path. */
const onWorkspaceOrPath =
  (act: (visit: Visit, place: WorkspacePlace) => Promise<void>) =>
  async ({ state }: { state: State }): Promise<void> => {
    const { visit } = state
    if (visit.place.kind !== 'workspace') return answerCode(visit, 'not_found')
    await act(visit, visit.place)
  }

function routes(): Router<State> {
  const router = new Router<State>({ strict: true, sensitive: true })
  router.get(paths.signIn, onDashboard(showSignIn))
  router.post(paths.signIn, onDashboard(signIn))
  router.post(paths.signOut, onDashboard(signOut))
  router.get(paths.setupPage, onDashboard(showSetup))
  router.post(paths.setupPage, onDashboard(setUp))
  router.get(`${paths.pathPrefix}{*rest}`, onDashboard(toOwnHost))
  router.get(paths.resetPage, onDashboard(showReset))
  router.post(paths.resetPage, onDashboard(reset))
  router.get(paths.invitationPage, onDashboard(showInvitation))
  router.post(paths.invitationPage, onDashboard(acceptInvitation))
  router.get(paths.provider, onDashboard(beginAtProvider))
  router.get(paths.providerCallback, onDashboard(finishAtProvider))
  router.get(paths.authorize, onDashboard(authorize))
  router.post(paths.authorize, onDashboard(authorize))
  router.get(paths.callback, onWorkspaceOrPath(finishHandOff))
  router.get(paths.enter, onWorkspace(enter))
  router.get(paths.landed, onWorkspace(land))
  router.post(paths.start, onWorkspaceOrPath(startFromPage))
  router.get(paths.link, onWorkspace(showLink))
  router.post(paths.link, onWorkspace(redeemLink))
  router.get(paths.join, onWorkspace(letGuestJoin))
  router.get(paths.passPage, onWorkspace(showPassword))
  router.post(paths.passPage, onWorkspace(givePassword))
  router.post(paths.requestAccess, ({ state }) => {
    const { visit } = state
    if (visit.place.kind === 'workspace' && visit.place.prefix === '')
      return askFromWorkspace(visit, visit.place)
    if (visit.place.kind === 'dashboard') return askFromDashboard(visit)
    return answerCode(visit, 'not_found')
  })
  return router
}

function answerError(visit: Visit, err: unknown): void {
  if (err instanceof ApiError) {
    const retry = err.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: err.retryAfterSeconds }
    return answerCode(visit, err.code, {
      ...(err.detail === undefined ? {} : { detail: err.detail }),
      ...retry,
    })
  }
  visit.edge.log.error('a page of the edge failed', { requestId: visit.requestId, err })
  answerCode(visit, 'internal')
}

/** The handler of the edge's own pages. Answers go through `answer.ts`, never through Koa's. */
export function ownPages(): (visit: Visit) => void {
  const visits = new WeakMap<IncomingMessage, Visit>()
  const app = new Koa<State>()
  app.silent = true
  app.use(async (ctx, next) => {
    ctx.respond = false
    const visit = visits.get(ctx.req)
    if (visit === undefined) return
    ctx.state.visit = visit
    try {
      // A code is spent by its request, so that a HEAD must not pass for a GET.
      if (visit.method !== 'HEAD') await next()
      if (!ctx.res.headersSent)
        answerCode(visit, visit.method === 'HEAD' ? 'method_not_allowed' : 'not_found')
    } catch (err) {
      answerError(visit, err)
    }
  })
  app.use(routes().routes())
  const callback = app.callback()
  return (visit) => {
    visits.set(visit.req, visit)
    visit.req.url = visit.target
    void callback(visit.req, visit.res)
  }
}
