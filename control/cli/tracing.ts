/** Options come in; where spans of proxied requests shall go, they are opened. */
import type { Logger } from '@postern/plugin'
import type { Tracing } from '../../gateway/seams.ts'
import { readFraction, readHttpUrl } from './option-values.ts'
import type { OptionTable } from './options.ts'

export const tracingOptions = {
  'otlp-endpoint': {
    describe:
      'OpenTelemetry receiver (OTLP over HTTP) that gets spans of proxied requests, such as http://127.0.0.1:4318',
    defaultDescription: '$OTEL_EXPORTER_OTLP_ENDPOINT, else none',
    read: readHttpUrl,
  },
  'trace-sample': {
    describe:
      'Part of the proxied requests that get a span, 0 to 1; trusted proxies decide for theirs by traceparent',
    initial: '0.1',
    read: readFraction,
  },
} as const satisfies OptionTable

/** What decides whether spans are made, and where they go. */
export interface TracingChoice {
  readonly otlpEndpoint: string | null
  readonly traceSample: number
}

/** Null: nobody wants spans. @throws Error when the environment's endpoint is no URL */
export async function openTracing(
  choice: TracingChoice,
  env: Readonly<Record<string, string | undefined>>,
  given: { readonly version: string; readonly log: Logger },
): Promise<Tracing | null> {
  const fromEnv = env['OTEL_EXPORTER_OTLP_ENDPOINT']
  const base = choice.otlpEndpoint ?? (fromEnv === undefined || fromEnv === '' ? null : readHttpUrl(fromEnv))
  if (base === null) return null
  const { Tracing: Spans } = await import('../../gateway/seen/tracing.ts')
  return Spans.open({ url: `${base.replace(/\/+$/, '')}/v1/traces`, sample: choice.traceSample, ...given })
}
