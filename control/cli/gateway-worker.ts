/** One worker of `postern gateway`: facts and orders come in from the process above it; it serves visitors until it is told to drain. */
import process from 'node:process'
import type { Logger } from '@postern/plugin'
import { startGateway } from '../../gateway/index.ts'
import { passOn } from '../../gateway/replica/pass-on.ts'
import { remoteControl } from '../../gateway/replica/remote-control.ts'
import type { Gateway, LineSink, Tracing } from '../../gateway/seams.ts'
import { openAccessLog } from './access-log.ts'
import type { FromWorker, ToWorker } from './fleet-messages.ts'
import { openLog } from './log.ts'
import { findProduct } from './product.ts'
import { openTracing } from './tracing.ts'

const STALE_LOOK_MS = 250
/** So long may one worker not know of what another has let in. */
const SHARE_MS = 250

/** Whether what is held is still good: true while control was heard within the stated time. */
class Freshness {
  #heardMs: number
  isStale = false

  constructor(heardMsAgo: number) {
    this.#heardMs = performance.now() - heardMsAgo
  }
  heard(): void {
    this.#heardMs = performance.now()
  }
  /** True when that has changed since the last look. */
  look(staleMs: number): boolean {
    const isStale = performance.now() - this.#heardMs > staleMs
    if (isStale === this.isStale) return false
    this.isStale = isStale
    return true
  }
}

const say = (message: FromWorker): void => void process.send?.(message)
/** What came while it started. */
const early: ToWorker[] = []
let receive = (message: ToWorker): void => void early.push(message)
const metricsAsked = new Map<number, (text: string) => void>()
let asked = 0
let areAllReady = false

function metrics(): Promise<string> {
  const id = ++asked
  return new Promise((resolve) => {
    metricsAsked.set(id, resolve)
    say({ type: 'metrics', id })
  })
}

async function serve(begin: Extract<ToWorker, { type: 'begin' }>): Promise<void> {
  const { settings } = begin
  const root = openLog(settings.log)
  const log = root.log.child({ room: 'gateway', worker: process.pid })
  const accessLog = openAccessLog(settings.accessLog, log)
  const freshness = new Freshness(begin.heardMsAgo)
  const tracing = await openTracing(settings.tracing, process.env, { version: findProduct().version, log })
  let token = begin.token
  const gateway = await start(begin, () => token, log, accessLog, tracing)
  freshness.look(settings.staleMs)
  gateway.suspend(freshness.isStale)
  let revision = begin.revision
  const decides = (): void => say({ type: 'decides', revision, isReady: !freshness.isStale })
  const look = (): void => {
    if (!freshness.look(settings.staleMs)) return
    gateway.suspend(freshness.isStale)
    if (freshness.isStale) log.error('control has been away for too long; every request is refused')
    else log.info('control is back; requests are decided again')
    decides()
  }
  setInterval(look, STALE_LOOK_MS)
  if (begin.workers > 1) setInterval(() => share(gateway, begin.workers), SHARE_MS)
  const take = (message: ToWorker): void => {
    switch (message.type) {
      case 'reset':
      case 'apply':
        gateway.sink[message.type](message.revision, message.facts)
        revision = message.revision
        freshness.heard()
        look()
        return decides()
      case 'heard':
        freshness.heard()
        return look()
      case 'token':
        token = message.token
        return
      case 'ready':
        areAllReady = message.isReady
        return
      case 'others':
        return gateway.caps.hear(message.rows, Date.now())
      case 'count':
        return void count(gateway, message.id)
      case 'metrics':
        metricsAsked.get(message.id)?.(message.text)
        metricsAsked.delete(message.id)
        return
      case 'drain':
        return void drain(gateway, message.ms, async () => {
          await Promise.all([accessLog?.close(), tracing?.close()])
          root.close()
        })
      case 'begin':
    }
  }
  decides()
  for (const message of early.splice(0)) take(message)
  receive = take
  say({ type: 'listening', addresses: gateway.addresses, authzAddress: gateway.authzAddress })
}

function start(
  begin: Extract<ToWorker, { type: 'begin' }>,
  token: () => string,
  log: Logger,
  accessLog: LineSink | null,
  tracing: Tracing | null,
): Promise<Gateway> {
  const { settings } = begin
  return startGateway({
    ...settings.listening,
    caps: settings.caps,
    authzListen: settings.authzListen,
    baseDomain: settings.baseDomain,
    pathUrl: settings.pathUrl,
    trustedProxies: settings.trustedProxies,
    forwardedHeader: settings.forwardedHeader,
    control: remoteControl(settings.serverUrl, token),
    app: passOn(settings.serverUrl, token, log),
    flowKey: Buffer.from(settings.flowKey, 'base64url'),
    begin: (sink) => sink.reset(begin.revision, begin.facts),
    fleet: { isReady: () => areAllReady, metrics },
    log,
    ...(accessLog === null ? {} : { accessLog }),
    ...(tracing === null ? {} : { tracing }),
    now: Date.now,
  })
}

/** Tells the others what is held here of what is capped. */
function share(gateway: Gateway, workers: number): void {
  const rows = gateway.caps.tell(workers)
  if (rows.length > 0) say({ type: 'holds', rows })
}

async function count(gateway: Gateway, id: number): Promise<void> {
  say({ type: 'counted', id, counts: await gateway.snapshot() })
}

/** What it has counted is told before it ends, so that no sum goes down. */
async function drain(gateway: Gateway, ms: number, done: () => Promise<void>): Promise<void> {
  await gateway.close(ms)
  const counts = await gateway.snapshot()
  await done()
  process.send?.({ type: 'counted', id: 0, counts } satisfies FromWorker, () => process.exit(0))
}

// The process above says when to end; signals to the whole group are for it.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)

/** What of an error a person needs, from the one that the system gave. */
function told(err: unknown): Extract<FromWorker, { type: 'failed' }>['error'] {
  const { cause } = err as { cause?: unknown }
  const { code, syscall, address, port } = (cause ?? err) as NodeJS.ErrnoException & {
    address?: string
    port?: number
  }
  return {
    message: err instanceof Error ? err.message : String(err),
    ...(code === undefined ? {} : { code }),
    ...(syscall === undefined ? {} : { syscall }),
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
  }
}

process.on('message', (message: ToWorker) => {
  if (message.type !== 'begin') return receive(message)
  serve(message).catch((err: unknown) => {
    process.send?.({ type: 'failed', error: told(err) } satisfies FromWorker, () => process.exit(1))
  })
})
say({ type: 'hello' })
