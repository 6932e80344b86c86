/**
 * Requests to workspaces come in; spans of those that are sampled go to an OTLP/HTTP receiver in batches. OpenTelemetry is
 * loaded only when this is opened.
 */
import { randomFillSync } from 'node:crypto'
import type { Context, Span, Tracer } from '@opentelemetry/api'
import type { Logger } from '@postern/plugin'
import type { Peer } from '../listeners/trust.ts'
import { shownPath } from './access-line.ts'
import type { Seen } from './seen.ts'
import { isSampled, readTraceparent, type TraceContext, traceparentOf } from './trace-context.ts'

export interface TracingOptions {
  /** Where spans are posted to, such as `http://127.0.0.1:4318/v1/traces`. */
  readonly url: string
  /** The part of the requests that is sampled, 0 to 1. */
  readonly sample: number
  readonly version: string
  readonly log: Logger
}

/** What is sent on of a trace in place of what came. */
export interface TraceSent {
  readonly traceparent: string
  /** False where the trace begins here: what another said of its state says nothing of this one. */
  readonly keepsState: boolean
}

/** The visitor's side of a trace: the raw traceparent, null for none, and whether its wish to be sampled counts. */
export interface TraceAsked {
  readonly traceparent: string | null
  readonly peer: Peer
}

type Api = typeof import('@opentelemetry/api')

const SHUTDOWN_MS = 2000
const POOL_BYTES = 24 * 170

const pool = Buffer.allocUnsafeSlow(POOL_BYTES)
let taken = POOL_BYTES

/** A new trace that is not sampled. */
function newContext(): TraceContext {
  if (taken >= POOL_BYTES) {
    randomFillSync(pool)
    taken = 0
  }
  const traceId = pool.toString('hex', taken, taken + 16)
  const spanId = pool.toString('hex', taken + 16, taken + 24)
  taken += 24
  return { traceId, spanId, flags: 0 }
}

/** Spans of one gateway. */
export class Tracing {
  readonly #api: Api
  readonly #tracer: Tracer
  readonly #sample: number
  readonly #shutdown: () => Promise<void>

  private constructor(api: Api, tracer: Tracer, sample: number, shutdown: () => Promise<void>) {
    this.#api = api
    this.#tracer = tracer
    this.#sample = sample
    this.#shutdown = shutdown
  }

  /** Loads OpenTelemetry. A receiver that isn't there costs nothing but its spans. */
  static async open(options: TracingOptions): Promise<Tracing> {
    const api = await import('@opentelemetry/api')
    const { AlwaysOnSampler, BasicTracerProvider, BatchSpanProcessor } =
      await import('@opentelemetry/sdk-trace-base')
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http')
    const { resourceFromAttributes } = await import('@opentelemetry/resources')
    const exporter = new OTLPTraceExporter({ url: options.url, timeoutMillis: 5000, concurrencyLimit: 2 })
    const provider = new BasicTracerProvider({
      resource: resourceFromAttributes({
        'service.name': 'postern-gateway',
        'service.version': options.version,
      }),
      // The choice has been made when a span begins.
      sampler: new AlwaysOnSampler(),
      spanProcessors: [new BatchSpanProcessor(exporter, { maxQueueSize: 4096, scheduledDelayMillis: 2000 })],
    })
    const shutdown = (): Promise<void> =>
      provider.shutdown().catch((err: unknown) => options.log.warn('the last spans were not sent', { err }))
    return new Tracing(api, provider.getTracer('postern'), options.sample, shutdown)
  }

  /**
   * Begins the part of a trace that is this request; null: what came goes on as it came. A visitor's trace is gone on
   * with; whether it is sampled, only believed peers may say.
   */
  begin(seen: Seen, asked: TraceAsked): TraceSent | null {
    const came = asked.traceparent === null ? null : readTraceparent(asked.traceparent)
    const isWanted = came !== null && asked.peer.trusted ? isSampled(came) : Math.random() < this.#sample
    if (!isWanted)
      return came === null ? { traceparent: traceparentOf(newContext()), keepsState: false } : null
    const span = this.#start(seen, came)
    const { traceId, spanId } = span.spanContext()
    seen.traceId = traceId
    seen.span = { end: () => this.#end(span, seen) }
    return { traceparent: traceparentOf({ traceId, spanId, flags: 1 }), keepsState: came !== null }
  }

  /** Sends what is left, for two seconds at most. */
  async close(): Promise<void> {
    const late = new Promise<void>((done) => setTimeout(done, SHUTDOWN_MS).unref())
    await Promise.race([this.#shutdown(), late])
  }

  #start(seen: Seen, came: TraceContext | null): Span {
    const { ROOT_CONTEXT, SpanKind, trace } = this.#api
    const parent: Context =
      came === null
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, {
            traceId: came.traceId,
            spanId: came.spanId,
            traceFlags: 1,
            isRemote: true,
          })
    // Names as the semantic conventions of HTTP spans have them; what is ours begins with our name.
    const attributes = {
      'http.request.method': seen.method,
      'url.path': shownPath(seen.target),
      'client.address': seen.client,
      'postern.request_id': seen.requestId,
      'postern.host': seen.host,
      'postern.port': seen.port,
      'postern.workspace_id': seen.workspaceId,
    }
    return this.#tracer.startSpan(seen.method, { kind: SpanKind.SERVER, attributes }, parent)
  }

  #end(span: Span, seen: Seen): void {
    span.setAttribute('http.response.status_code', seen.status)
    if (seen.userId !== '') span.setAttribute('enduser.id', seen.userId)
    if (seen.cause !== '') span.setAttribute('postern.cause', seen.cause)
    if (seen.retried) span.setAttribute('http.request.resend_count', 1)
    if (seen.status >= 500 || seen.cause === 'cut') {
      span.setAttribute('error.type', seen.cause === '' ? String(seen.status) : seen.cause)
      span.setStatus({ code: this.#api.SpanStatusCode.ERROR })
    }
    span.end()
  }
}
