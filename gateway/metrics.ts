// Counts of what the edge did come in as plain numbers; Prometheus text goes out when asked.
import { Counter, Gauge, Registry } from 'prom-client'

/** Plain numbers, as they are counted for each request. */
export interface Counters {
  requests: number
  proxied: number
  upgrades: number
  /** Own answers by code, such as `not_found`. */
  readonly answers: Map<string, number>
  upstreamErrors: number
  retries: number
  revoked: number
}

/** Counters at nought. */
export function newCounters(): Counters {
  return {
    requests: 0,
    proxied: 0,
    upgrades: 0,
    answers: new Map(),
    upstreamErrors: 0,
    retries: 0,
    revoked: 0,
  }
}

/** Counts an answer of the edge's own. */
export function countAnswer(counters: Counters, code: string): void {
  counters.answers.set(code, (counters.answers.get(code) ?? 0) + 1)
}

/** The Prometheus text of the counters and of what is open now; the gateway's own values only. */
export function metricsText(
  counters: Counters,
  open: () => { live: number; pools: number },
): Promise<string> {
  const registry = new Registry()
  const registers = [registry]
  const total = (name: string, help: string, value: number): void => {
    new Counter({ name, help, registers }).inc(value)
  }
  total('postern_gateway_requests_total', 'Requests that reached the edge.', counters.requests)
  total('postern_gateway_proxied_total', 'Requests sent on to a workspace.', counters.proxied)
  total('postern_gateway_upgrades_total', 'WebSockets opened to a workspace.', counters.upgrades)
  total('postern_gateway_upstream_errors_total', 'Requests that a workspace failed.', counters.upstreamErrors)
  total('postern_gateway_retries_total', 'Requests sent once more on a fresh connection.', counters.retries)
  total('postern_gateway_revoked_total', 'Live streams ended by a revocation.', counters.revoked)
  const answers = new Counter({
    name: 'postern_gateway_answers_total',
    help: 'Answers of the edge itself, by code.',
    labelNames: ['code'],
    registers,
  })
  for (const [code, count] of counters.answers) answers.inc({ code }, count)
  const { live, pools } = open()
  new Gauge({ name: 'postern_gateway_live_streams', help: 'Open proxied streams.', registers }).set(live)
  new Gauge({ name: 'postern_gateway_pools', help: 'Open connection pools.', registers }).set(pools)
  return registry.metrics()
}
