// What the edge did is counted here for each request in plain numbers; samples for a snapshot go out when asked.
import { causes, causeNumber, classNames, type RouteClass, statusKind, statusKinds } from './classes.ts'
import { Histograms } from './histogram.ts'
import type { MetricName } from './metric-table.ts'

const CLASSES = classNames.length
const KINDS = statusKinds.length

/** Counts by a text of a closed set. */
export type Tally = Map<string, number>

/** Adds one to a tally. */
export function count(tally: Tally, key: string): void {
  tally.set(key, (tally.get(key) ?? 0) + 1)
}

/** Plain numbers and arrays, as they are counted for each request. */
export class Counters {
  requests = 0
  proxied = 0
  upgrades = 0
  retries = 0
  revoked = 0
  /** Own answers by code, such as `not_found`. */
  readonly answers: Tally = new Map()
  /** Refusals by `<door> <reason>`. */
  readonly denials: Tally = new Map()
  readonly upstreamErrors: Tally = new Map()
  /** Caps that were met, by code. */
  readonly capped: Tally = new Map()
  /** Connections ended before a request, by cause. */
  readonly turnedAway: Tally = new Map()
  readonly #responses = new Float64Array(CLASSES * KINDS)
  readonly #received = new Float64Array(CLASSES)
  readonly #sent = new Float64Array(CLASSES)
  readonly #durations = new Histograms(CLASSES * causes.length)
  readonly #heads = new Histograms(1)

  /** Counts a request or socket that is over; durations in ms. */
  over(kind: RouteClass, cause: string, status: number, ms: number, received: number, sent: number): void {
    const at = kind * KINDS + statusKind(status)
    this.#responses[at] = (this.#responses[at] as number) + 1
    this.#received[kind] = (this.#received[kind] as number) + received
    this.#sent[kind] = (this.#sent[kind] as number) + sent
    this.#durations.observe(kind * causes.length + causeNumber(cause), ms)
  }

  /** Counts the time to the head of a program's answer, in ms. */
  head(ms: number): void {
    this.#heads.observe(0, ms)
  }

  /** Puts every sample that isn't a momentary value. */
  samples(put: (name: MetricName, key: string, value: number) => void): void {
    put('postern_gateway_requests_total', '', this.requests)
    put('postern_gateway_proxied_total', '', this.proxied)
    put('postern_gateway_upgrades_total', '', this.upgrades)
    put('postern_gateway_retries_total', '', this.retries)
    put('postern_gateway_revoked_total', '', this.revoked)
    for (const [code, times] of this.answers) put('postern_gateway_answers_total', `{code="${code}"}`, times)
    for (const [cause, times] of this.turnedAway)
      put('postern_gateway_connections_refused_total', `{cause="${cause}"}`, times)
    for (const [code, times] of this.upstreamErrors)
      put('postern_gateway_upstream_errors_total', `{code="${code}"}`, times)
    for (const [code, times] of this.capped) put('postern_gateway_capped_total', `{code="${code}"}`, times)
    for (const [key, times] of this.denials) {
      const [door = '', reason = ''] = key.split(' ')
      put('postern_gateway_denials_total', `{door="${door}",reason="${reason}"}`, times)
    }
    this.#heads.samples(0, '', (key, value) => put('postern_gateway_upstream_head_seconds', key, value))
    classNames.forEach((name, kind) => this.#ofClass(name, kind, put))
  }

  #ofClass(name: string, kind: number, put: (name: MetricName, key: string, value: number) => void): void {
    put('postern_gateway_received_bytes_total', `{class="${name}"}`, this.#received[kind] as number)
    put('postern_gateway_sent_bytes_total', `{class="${name}"}`, this.#sent[kind] as number)
    statusKinds.forEach((status, at) => {
      const times = this.#responses[kind * KINDS + at] as number
      if (times > 0) put('postern_gateway_responses_total', `{class="${name}",status="${status}"}`, times)
    })
    causes.forEach((cause, at) =>
      this.#durations.samples(kind * causes.length + at, `class="${name}",cause="${cause}"`, (key, value) =>
        put('postern_gateway_request_seconds', key, value),
      ),
    )
  }
}
