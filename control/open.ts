/** The operator's options go in; a control whose parts are put together comes out, with its hand on the sweep. */
import type { AgentControl } from './wire/index.ts'
import { ApiError, paths } from './wire/index.ts'
import type { EdgeControl, EdgeSink } from './wire/index.ts'
import type { Api } from './api/app.ts'
import { httpApi } from './api/app.ts'
import { dashboardPages } from './dashboard.ts'
import type { Deployment } from './deployment.ts'
import { knownDevices } from './credentials/devices.ts'
import { allFacts, changedFacts } from './feed/facts.ts'
import { openFeed } from './feed/feed.ts'
import type { PasswordCost } from './credentials/passwords.ts'
import { passwordsOf, strongCost } from './credentials/passwords.ts'
import type { GatewayLinks } from './feed/gateway-links.ts'
import { gatewayLinks } from './feed/gateway-links.ts'
import { providerSignIn } from './oidc/index.ts'
import { accessRoutes } from './routes/access.ts'
import { agentRoutes } from './routes/agents.ts'
import { auditRoutes } from './routes/audit.ts'
import { gatewayCallRoutes, gatewayRoutes } from './routes/gateways.ts'
import { hookRoutes } from './routes/hooks.ts'
import { hostRoutes } from './routes/hosts.ts'
import { invitationRoutes } from './routes/invitations.ts'
import { linkRoutes } from './routes/links.ts'
import { nameRoutes } from './routes/names.ts'
import { offerRoutes } from './routes/offers.ts'
import { quotaRoutes } from './routes/quotas.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { signingRoutes } from './routes/signing.ts'
import { sharingRoutes } from './routes/sharing.ts'
import { tokenRoutes } from './routes/tokens.ts'
import { userSessionRoutes } from './routes/user-sessions.ts'
import { userRoutes } from './routes/users.ts'
import { workspaceRoutes } from './routes/workspaces.ts'
import type { Control, ControlOptions } from './seams.ts'
import { loadVault } from './credentials/secrets.ts'
import { accountLinks } from './service/account-links.ts'
import { asking } from './service/access-requests.ts'
import { localAccounts } from './service/accounts.ts'
import type { AgentIdentity, Agents } from './service/agents.ts'
import { hostAgents } from './service/agents.ts'
import { auditLog } from './audit/audit.ts'
import { edgeControl } from './service/edge.ts'
import { FLOW_PURPOSE, knownGateways } from './service/gateways.ts'
import type { HookSender } from './hooks/hook-sender.ts'
import { hookSender } from './hooks/hook-sender.ts'
import { keepSessions } from './service/sessions.ts'
import { keepSigningKeys } from './service/signing.ts'
import { signInLimit } from './credentials/sign-in-limit.ts'
import { settleFact } from './store/facts.ts'
import type { Database } from './store/open.ts'
import { openDatabase } from './store/open.ts'
import type { Streams } from './feed/stream.ts'
import { eventStreams } from './feed/stream.ts'
import { sweep } from './sweep.ts'
import { within } from './within.ts'
import { loadTemplates } from './templates.ts'
import { newId } from './credentials/tokens.ts'

/** How often time is looked at, in ms. */
const SWEEP_MS = 5000
/** What is under way at the end gets so long, in ms: requests, then all else. */
const CLOSE_MS = 3000

async function openDeployment(options: ControlOptions, database: Database): Promise<Deployment> {
  const templates = await loadTemplates(options.templateDirectories)
  const id = await settleFact(database.db, 'deployment_id', newId())
  const vault = await loadVault(database.db, options.stateDirectory, database.dialect === 'postgres')
  const feed = await openFeed(database, options.log)
  const now = (): number => options.now()
  const audit = auditLog(database.db, options.log, now)
  return { id, feed, options, vault, audit, templates, log: options.log, now }
}

/** The contract with agents in this process: what HTTP checks on each call is held by the closure. */
function embedded(agents: Agents): AgentControl {
  let agent: AgentIdentity | null = null
  const registered = (): AgentIdentity => {
    if (agent === null) throw new ApiError('unauthenticated', 'The agent has not registered yet.')
    return agent
  }
  return {
    async register(body) {
      const answer = await agents.register(body, { kind: 'embedded' })
      agent = { hostId: answer.hostId, epoch: answer.epoch }
      return answer
    },
    desired: async (since, call) => agents.desired(registered(), since, call),
    report: async (body) => agents.report(registered(), body),
  }
}

/** The same, but what opens doors is told when gateways in other processes know of it, too. */
function heardEverywhere(edge: EdgeControl, links: GatewayLinks): EdgeControl {
  const heard = async <T>(made: Promise<T>): Promise<T> => {
    const result = await made
    await links.acknowledged()
    return result
  }
  return {
    ...edge,
    setup: (body, origin) => heard(edge.setup(body, origin)),
    signIn: (body, origin) => heard(edge.signIn(body, origin)),
    resetPassword: (body, origin) => heard(edge.resetPassword(body, origin)),
    acceptInvitation: (body, origin) => heard(edge.acceptInvitation(body, origin)),
    signOut: (sessionHash) => heard(edge.signOut(sessionHash)),
    finishSignIn: (given, origin) => heard(edge.finishSignIn(given, origin)),
    redeemCode: (given, origin) => heard(edge.redeemCode(given, origin)),
    redeemLink: (given, origin) => heard(edge.redeemLink(given, origin)),
    joinGuest: (given, origin) => heard(edge.joinGuest(given, origin)),
    givePassword: (given, origin) => heard(edge.givePassword(given, origin)),
  }
}

/** All facts at first, then those of what changed. Returns the unsubscribe. */
function feedGateway(deployment: Deployment, sink: EdgeSink): Promise<() => void> {
  const { feed } = deployment
  return feed.subscribe(
    async (revision) => sink.reset(revision, await allFacts(deployment, feed.db)),
    async (batch) => {
      if (batch.missed) sink.reset(batch.revision, await allFacts(deployment, feed.db))
      else sink.apply(batch.revision, await changedFacts(deployment, feed.db, batch))
    },
  )
}

/** Each step gets a bounded time: what was begun and isn't done then is undone, or told as unknown. */
async function closeAll(
  { feed, audit, log }: Deployment,
  database: Database,
  api: Api,
  others: readonly (() => Promise<unknown>)[],
): Promise<void> {
  const rest = async (): Promise<void> => {
    for (const close of others) await close()
    await feed.close()
    await audit.flush().catch((err: unknown) => log.error('the audit is not whole', { err }))
  }
  const isAnswered = await within(CLOSE_MS, api.close())
  const isQuiet = await within(CLOSE_MS, rest())
  if (!isAnswered || !isQuiet) log.warn('something is still under way; the server does not wait for it')
  await database.close()
}

/** A control, and what its tests look at. */
export interface Parts {
  readonly control: Control
  readonly deployment: Deployment
  readonly router: Api['router']
  readonly streams: Streams
  readonly hooks: HookSender
  sweep(): Promise<void>
}

/** Control with the sweep in the caller's hand: `openControl` runs it by a timer. Tests give passwords a low cost. */
export async function openParts(options: ControlOptions, cost: PasswordCost = strongCost): Promise<Parts> {
  const database = await openDatabase(options)
  const deployment = await openDeployment(options, database).catch(async (err: unknown) => {
    await database.close()
    throw err
  })
  const { feed } = deployment
  const passwords = passwordsOf(cost)
  await keepSigningKeys(deployment)
  const parts = { limit: signInLimit(deployment.now), passwords, devices: knownDevices(deployment.vault) }
  const accounts = localAccounts(deployment, parts)
  const providers = providerSignIn(deployment, parts.limit)
  const sessions = keepSessions(deployment)
  const agents = hostAgents(deployment)
  const hooks = hookSender(deployment)
  const streams = eventStreams(deployment)
  const pages = dashboardPages(options.webRoot, options.publicUrl)
  const gateways = await knownGateways(deployment)
  const links = gatewayLinks(deployment, gateways)
  const door = asking(deployment)
  const edge = heardEverywhere(
    edgeControl(deployment, accounts, accountLinks(deployment, parts), sessions, providers, passwords, door),
    links,
  )
  const routes = [
    ...sessionRoutes(deployment, accounts, providers),
    ...tokenRoutes(deployment),
    ...userRoutes(deployment, accounts),
    ...invitationRoutes(deployment),
    ...userSessionRoutes(deployment),
    ...quotaRoutes(deployment),
    ...workspaceRoutes(deployment),
    ...sharingRoutes(deployment),
    ...linkRoutes(deployment, passwords),
    ...offerRoutes(deployment),
    ...accessRoutes(deployment),
    ...hostRoutes(deployment),
    ...nameRoutes(deployment),
    ...signingRoutes(deployment),
    ...auditRoutes(deployment),
    ...hookRoutes(deployment),
    ...agentRoutes(deployment, agents),
    ...gatewayRoutes(gateways, links),
    ...gatewayCallRoutes(deployment, gateways, edge),
  ]
  const api = httpApi(deployment, sessions, routes, { acknowledged: () => links.acknowledged() })
  await feed.subscribe(
    async () => undefined,
    (batch) => agents.changed(batch),
  )
  const control: Control = {
    edge,
    flowKey: deployment.vault.derive(FLOW_PURPOSE),
    isGateway: (token) => gateways.knows(token),
    feed: (sink) => feedGateway(deployment, sink),
    app: {
      request(req, res, identity, origin) {
        if (req.url?.startsWith('/api/') === true || req.url === paths.jwks)
          api.request(req, res, identity, origin)
        else pages(req, res)
      },
      upgrade(req, socket, head, identity, origin) {
        const isGateway = req.url?.split('?', 1)[0] === paths.gatewayChanges
        if (isGateway) links.upgrade(req, socket, head, origin)
        else streams.upgrade(req, socket, head, identity, origin)
      },
    },
    embeddedAgent: () => embedded(agents),
    setupUrl: () => accounts.setupUrl(),
    release() {
      streams.close()
      links.close()
      agents.close()
    },
    async close() {
      this.release()
      await closeAll(deployment, database, api, [
        () => providers.close(),
        () => hooks.close(),
        () => door.settled(),
      ])
    },
  }
  return {
    control,
    deployment,
    router: api.router,
    streams,
    hooks,
    sweep: () => sweep(deployment, agents, sessions, providers, hooks),
  }
}

/** Opens the store, migrates it, and starts the sweep. @throws StartError */
export async function openControl(options: ControlOptions): Promise<Control> {
  const { control, hooks, sweep: round } = await openParts(options)
  await hooks.start()
  let sweeping = Promise.resolve()
  let failing = false
  const timer = setInterval(() => {
    sweeping = sweeping.then(round).then(
      () => {
        failing = false
      },
      (err: unknown) => {
        if (!failing) options.log.error('a sweep failed', { err })
        failing = true
      },
    )
  }, SWEEP_MS)
  timer.unref()
  return {
    ...control,
    async close() {
      clearInterval(timer)
      await within(CLOSE_MS, sweeping)
      await control.close()
    },
  }
}
