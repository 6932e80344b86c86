/** A configuration comes in; workers that serve visitors for a server elsewhere run below this process, which holds no request. */
import { Gauge, Registry } from 'prom-client'
import { HeldFacts } from '../../gateway/replica/held-facts.ts'
import { followControl } from '../../gateway/replica/link.ts'
import { exchangeCredential } from '../../gateway/replica/remote-control.ts'
import { keepToken, type TokenKeeper } from '../../gateway/replica/token-keeper.ts'
import { forgetSocketFile } from '../../gateway/index.ts'
import type { ApiError, GatewayJoin, GatewayJoined } from '../wire/index.ts'
import { capsOf } from './cap-options.ts'
import { Closing } from './closing.ts'
import { Fleet } from './fleet.ts'
import type { WorkerSettings } from './fleet-messages.ts'
import { joinAgain, joinServer, refused } from './gateway-joining.ts'
import { showAddress } from './listen-addresses.ts'
import { listeningOf } from './listeners.ts'
import type { LogOptions, RootLog } from './log.ts'
import type { GatewayConfig } from './options.ts'
import { holdStateDirectory } from './state-directory.ts'

/** A running gateway, as its starter needs it. */
export interface StartedGateway {
  readonly lines: readonly string[]
  readonly warnings: readonly string[]
  /** Resolves with why when it has ended for good by itself, such as its credential being revoked; else never. */
  readonly ended: Promise<Error>
  /** New workers by a configuration that was read anew, the old ones drain. */
  reload(config: GatewayConfig, log: LogOptions): Promise<void>
  /** Lets requests finish, then ends. */
  close(): Promise<void>
}

/** More than a worker's socket files need: what of an option can't be changed by a reload. */
const FIXED = ['serverUrl', 'stateDirectory', 'gatewayName'] as const

/** Starts `postern gateway`: waits for the server the first time. @throws StartupError */
export async function startGatewayProcess(
  config: GatewayConfig,
  root: RootLog,
  logOptions: LogOptions,
  signal: AbortSignal,
): Promise<StartedGateway> {
  const closing = new Closing()
  return closing.guard(async () => {
    const held = await holdStateDirectory(config.stateDirectory)
    closing.add(() => held.release())
    const replica = new Replica(config, root, logOptions, held.path)
    closing.add(() => replica.close())
    const { addresses, authzAddress } = await replica.start(signal)
    return {
      lines: [
        `Postern gateway ${config.gatewayName} answers on ${addresses.map(showAddress).join(', ')}`,
        ...(authzAddress === null ? [] : [`Forward auth answers on ${showAddress(authzAddress)}`]),
      ],
      warnings: [],
      ended: replica.ended,
      reload: (next, log) => replica.reload(next, log),
      close: () => closing.close(),
    }
  })
}

class Replica {
  readonly ended: Promise<Error>
  readonly #root: RootLog
  readonly #directory: string
  readonly #held = new HeldFacts()
  readonly #closing = new AbortController()
  #config: GatewayConfig
  #logOptions: LogOptions
  #end: (err: Error) => void = () => undefined
  #heardMs = 0
  #joined: GatewayJoined | null = null
  #body: GatewayJoin | null = null
  #tokens: TokenKeeper | null = null
  #fleet: Fleet | null = null
  #link: ReturnType<typeof followControl> | null = null

  constructor(config: GatewayConfig, root: RootLog, logOptions: LogOptions, directory: string) {
    this.#config = config
    this.#root = root
    this.#logOptions = logOptions
    this.#directory = directory
    this.ended = new Promise((resolve) => (this.#end = resolve))
  }

  async start(signal: AbortSignal): ReturnType<Fleet['start']> {
    const { log } = this.#root
    const { credential, body, joined } = await joinServer(this.#config, this.#directory, log, signal)
    this.#body = body
    this.#joined = joined
    await this.#firstFacts(credential, signal)
    const settings = await this.#settings()
    for (const address of [...settings.listening.listen, settings.authzListen])
      if (address !== null) forgetSocketFile(address)
    const fleet = new Fleet({
      workers: this.#config.workers,
      settings,
      held: () => ({
        revision: this.#held.revision,
        facts: this.#held.all(),
        heardMsAgo: performance.now() - this.#heardMs,
        token: this.#tokens?.token ?? '',
      }),
      onDecided: (revision) => this.#link?.acknowledge(revision),
      ownMetrics: () => this.#metrics(),
      log: log.child({ room: 'gateway' }),
    })
    this.#fleet = fleet
    return fleet.start()
  }

  async reload(config: GatewayConfig, logOptions: LogOptions): Promise<void> {
    const fixed = FIXED.filter((name) => config[name] !== this.#config[name])
    if (fixed.length > 0)
      this.#root.log.warn('some options need a restart; they stay as they were', { fixed })
    this.#config = { ...config, ...Object.fromEntries(FIXED.map((name) => [name, this.#config[name]])) }
    this.#logOptions = logOptions
    await this.#fleet?.reload(await this.#settings(), config.workers, config.drainPeriod)
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('this gateway ends'))
    // The link stays until the last worker has gone, so that a revocation still ends what is draining.
    await this.#fleet?.close(this.#config.drainPeriod)
    this.#link?.close()
    this.#tokens?.close()
  }

  #keepToken(credential: string, onRefused: (err: ApiError) => void): TokenKeeper {
    return keepToken({
      exchange: (ends) => exchangeCredential(this.#config.serverUrl, credential, ends),
      random: Math.random,
      onToken: (token) => {
        this.#fleet?.token(token)
        this.#link?.renew()
      },
      onRefused,
      log: this.#root.log.child({ room: 'gateway' }),
    })
  }

  #firstFacts(credential: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      const onRefused = (err: ApiError): void => {
        const end = refused(err.message)
        reject(end)
        this.#end(end)
      }
      const tokens = this.#keepToken(credential, onRefused)
      this.#tokens = tokens
      this.#link = followControl({
        serverUrl: this.#config.serverUrl,
        token: () => tokens.token,
        log: this.#root.log.child({ room: 'gateway' }),
        random: Math.random,
        onRefused: (token) => tokens.wasRefused(token),
        onRevoked: onRefused,
        sink: {
          reset: (epoch, revision, facts) => {
            const isFirst = this.#held.epoch === ''
            this.#held.reset(epoch, revision, facts)
            this.#heardMs = performance.now()
            this.#fleet?.reset(revision, facts)
            this.#root.log.info('all facts are taken anew', { revision, facts: facts.length })
            if (isFirst) resolve()
            else void this.#settingsAgain()
          },
          apply: (revision, facts) => {
            this.#held.apply(revision, facts)
            this.#heardMs = performance.now()
            this.#fleet?.apply(revision, facts)
          },
          heard: () => {
            this.#heardMs = performance.now()
            this.#fleet?.heard()
          },
        },
      })
    })
  }

  /** Another process of control may have other settings than the one before. */
  async #settingsAgain(): Promise<void> {
    const { signal } = this.#closing
    const before = this.#joined
    const [tokens, body] = [this.#tokens, this.#body]
    if (tokens === null || body === null) return
    try {
      const { log } = this.#root
      this.#joined = await joinAgain(this.#config.serverUrl, tokens, body, log, signal)
      const names = ['publicUrl', 'baseDomain', 'pathUrl', 'flowKey'] as const
      if (names.every((name) => this.#joined?.[name] === before?.[name])) return
      this.#root.log.info('the server has other settings; workers are replaced')
      await this.#fleet?.reload(await this.#settings(), this.#config.workers, this.#config.drainPeriod)
    } catch (err) {
      if (!signal.aborted) this.#root.log.warn('the server’s settings could not be read anew', { err })
    }
  }

  async #settings(): Promise<WorkerSettings> {
    const config = this.#config
    const { publicUrl, baseDomain, pathUrl, flowKey } = this.#joined as GatewayJoined
    return {
      listening: await listeningOf({ ...config, publicUrl }),
      caps: capsOf(config),
      authzListen: config.authzListen,
      trustedProxies: config.trustedProxies ?? [],
      forwardedHeader: config.forwardedHeader === 'on',
      baseDomain,
      pathUrl,
      flowKey,
      serverUrl: config.serverUrl,
      staleMs: config.staleFor,
      log: this.#logOptions,
      tracing: { otlpEndpoint: config.otlpEndpoint, traceSample: config.traceSample },
      accessLog: {
        accessLog: config.accessLog,
        logDirectory: config.logDirectory,
        stateDirectory: config.stateDirectory,
        logMaxSize: config.logMaxSize,
      },
    }
  }

  #metrics(): Promise<string> {
    const registry = new Registry()
    const gauge = (name: string, help: string, value: number): void =>
      new Gauge({ name, help, registers: [registry] }).set(value)
    const age = (performance.now() - this.#heardMs) / 1000
    gauge('postern_gateway_workers', 'Workers that serve.', this.#fleet?.serving ?? 0)
    gauge('postern_gateway_worker_restarts', 'Workers that were replaced.', this.#fleet?.restarts ?? 0)
    gauge('postern_gateway_control_silent_seconds', 'Time since control was heard last.', age)
    gauge(
      'postern_gateway_stale',
      '1: it refuses all, as control has been away for too long.',
      this.#isStale(),
    )
    return registry.metrics()
  }

  #isStale(): number {
    return performance.now() - this.#heardMs > this.#config.staleFor ? 1 : 0
  }
}
