/** A configuration comes in; control and gateway are put together and listen. */
import type { Logger } from '@postern/plugin'
import type { LocalConnect } from '../../gateway/seams.ts'
import type { Control } from '../seams.ts'
import { openAccessLog } from './access-log.ts'
import { capsOf } from './cap-options.ts'
import { Closing } from './closing.ts'
import { showAddress } from './listen-addresses.ts'
import { listeningOf } from './listeners.ts'
import type { RootLog } from './log.ts'
import type { ServerConfig } from './options.ts'
import { findProduct, type Product } from './product.ts'
import { onHangUp } from './signals.ts'
import { StartupError } from './startup-error.ts'
import { openTracing } from './tracing.ts'
import { holdStateDirectory, readMachineId } from './state-directory.ts'

/** A running Postern, as its starter needs it. */
export interface Started {
  /** Origin of the dashboard. */
  readonly url: string
  /** Where forward auth listens; null: nowhere. */
  readonly authz: string | null
  /** Null when there are users. */
  readonly setupUrl: string | null
  /** Sentences for a person. */
  readonly warnings: readonly string[]
  /** Resolves with why when a part has ended for good by itself; else never. */
  readonly ended: Promise<Error>
  /** Lets requests finish, then ends; workspaces live on. */
  close(): Promise<void>
}

/** What `standalone` and `server` share: everything but an agent in this process. */
export interface Core extends Started {
  readonly control: Control
  readonly machineId: string
  readonly product: Product
  readonly closing: Closing
  readonly log: Logger
}

/** Starts `postern server`. @throws StartupError or the error of a room, which `explain` makes into one */
export async function startServer(config: ServerConfig, root: RootLog): Promise<Started> {
  return startCore(config, root)
}

/** An agent in this process: dialled by the gateway, closed after it. */
export interface LocalAgent {
  readonly connect: LocalConnect
  close(): Promise<void>
}

/** Holds the state directory, opens control, listens. */
export async function startCore(config: ServerConfig, root: RootLog, local?: LocalAgent): Promise<Core> {
  const closing = new Closing()
  return closing.guard(async () => {
    const product = findProduct()
    const held = await holdStateDirectory(config.stateDirectory)
    closing.add(() => held.release())
    const machineId = await readMachineId(held.path)
    const listening = await listeningOf(config)
    const { publicUrl } = listening
    const { startGateway, sameSiteWarning, pathUrlProblem } = await import('../../gateway/index.ts')
    mayServePaths(config, publicUrl, pathUrlProblem)
    const control = await openControl(config, { publicUrl, machineId, product, log: root.log })
    closing.add(() => control.close())
    closing.add(() => local?.close())
    const accessLog = openAccessLog(config, root.log)
    closing.add(() => accessLog?.close())
    closing.add(onHangUp(() => accessLog?.reopen()))
    const tracing = await openTracing(config, process.env, { version: product.version, log: root.log })
    closing.add(() => tracing?.close())
    const gateway = await startGateway({
      ...listening,
      authzListen: config.authzListen,
      baseDomain: config.baseDomain,
      pathUrl: config.pathUrl,
      trustedProxies: config.trustedProxies ?? [],
      forwardedHeader: config.forwardedHeader === 'on',
      caps: capsOf(config),
      control: control.edge,
      app: control.app,
      flowKey: control.flowKey,
      isGateway: (credential) => control.isGateway(credential),
      ...(local === undefined ? {} : { connect: local.connect }),
      log: root.log.child({ room: 'gateway' }),
      ...(accessLog === null ? {} : { accessLog }),
      ...(tracing === null ? {} : { tracing }),
      now: Date.now,
    })
    closing.add(onHangUp(() => void gateway.reloadCertificates()))
    let unsubscribe = () => {}
    closing.add(() => unsubscribe())
    // Closed before the feed, so that a revocation still ends what is draining.
    closing.add(() => {
      const closed = gateway.close(config.drainPeriod)
      control.release()
      return closed
    })
    unsubscribe = await control.feed(gateway.sink)
    const warning = sameSiteWarning(publicUrl, config.baseDomain)
    return {
      url: publicUrl,
      authz: gateway.authzAddress === null ? null : showAddress(gateway.authzAddress),
      setupUrl: await control.setupUrl(),
      warnings: [
        ...gateway.warnings,
        ...(warning ? [warning] : []),
        ...(product.web === null ? [noDashboard] : []),
      ],
      ended: new Promise(() => undefined),
      close: () => closing.close(),
      control,
      machineId,
      product,
      closing,
      log: root.log,
    }
  })
}

/** @throws StartupError config_invalid where path mode would share what it may not */
function mayServePaths(
  { pathUrl, baseDomain }: ServerConfig,
  publicUrl: string,
  problemOf: (pathUrl: string, publicUrl: string, baseDomain: string) => string | null,
): void {
  const problem = pathUrl === null ? null : problemOf(pathUrl, publicUrl, baseDomain)
  if (problem === null) return
  throw new StartupError('config_invalid', {
    problems: [`path-url: ${problem}`],
    next: 'Give path mode a host name of its own; the README’s part on path mode has an example.',
  })
}

const noDashboard = 'The dashboard has not been built; the API works. `npm run build` makes it.'

async function openControl(
  config: ServerConfig,
  given: { publicUrl: string; machineId: string; product: Product; log: Logger },
): Promise<Control> {
  const { openControl: open } = await import('../index.ts')
  return open({
    stateDirectory: config.stateDirectory,
    databaseUrl: config.databaseUrl,
    publicUrl: given.publicUrl,
    baseDomain: config.baseDomain,
    pathUrl: config.pathUrl,
    machineId: given.machineId,
    templateDirectories: [
      given.product.templates,
      ...(config.templatesDirectory === null ? [] : [config.templatesDirectory]),
    ],
    limits: {
      maxRunning: config.maxRunning,
      maxRunningPerUser: config.maxRunningPerUser,
      maxWorkspacesPerUser: config.maxWorkspacesPerUser,
      maxCpu: config.maxCpu,
      maxMemoryBytes: config.maxMemory,
      maxPids: config.maxPids,
      maxDiskBytes: config.maxDisk,
      trashMs: config.trashPeriod,
    },
    oidcProviders: config.oidcProviders ?? [],
    auditRetentionMs: config.auditRetention,
    reservedNames: config.reservedNames ?? [],
    hookTargets: config.hookTargets,
    webRoot: given.product.web,
    version: given.product.version,
    log: given.log.child({ room: 'control' }),
    now: Date.now,
  })
}
