/** Every metric of the gateway's own, once: text for Prometheus, the page that lists them, and what samples may be named. */

export interface MetricRow {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Closed sets only: codes, classes, kinds; never a name of a user or a workspace. */
  readonly labels: readonly string[]
}

export const metricTable = {
  postern_gateway_requests_total: { kind: 'counter', help: 'Requests that reached the edge.', labels: [] },
  postern_gateway_responses_total: {
    kind: 'counter',
    help: 'Requests and sockets that are over, by class of route and first digit of the status.',
    labels: ['class', 'status'],
  },
  postern_gateway_request_seconds: {
    kind: 'histogram',
    help: 'From a request to the end of its answer or socket, by class and cause; cause "" is what was asked for.',
    labels: ['class', 'cause'],
  },
  postern_gateway_upstream_head_seconds: {
    kind: 'histogram',
    help: 'From a request to the head of the program’s answer, waiting for a connection included.',
    labels: [],
  },
  postern_gateway_proxied_total: {
    kind: 'counter',
    help: 'Requests sent on to a workspace.',
    labels: [],
  },
  postern_gateway_upgrades_total: {
    kind: 'counter',
    help: 'WebSockets opened to a workspace.',
    labels: [],
  },
  postern_gateway_received_bytes_total: {
    kind: 'counter',
    help: 'Bytes of bodies and sockets from visitors, counted when they are over.',
    labels: ['class'],
  },
  postern_gateway_sent_bytes_total: {
    kind: 'counter',
    help: 'Bytes of bodies and sockets to visitors, counted when they are over.',
    labels: ['class'],
  },
  postern_gateway_answers_total: {
    kind: 'counter',
    help: 'Answers of the edge itself, by code.',
    labels: ['code'],
  },
  postern_gateway_denials_total: {
    kind: 'counter',
    help: 'Requests that the decision did not allow, by door and reason.',
    labels: ['door', 'reason'],
  },
  postern_gateway_capped_total: {
    kind: 'counter',
    help: 'Requests and connections that met a cap, by its code.',
    labels: ['code'],
  },
  postern_gateway_upstream_errors_total: {
    kind: 'counter',
    help: 'Requests that a workspace failed, by code.',
    labels: ['code'],
  },
  postern_gateway_retries_total: {
    kind: 'counter',
    help: 'Requests sent once more on a fresh connection.',
    labels: [],
  },
  postern_gateway_revoked_total: {
    kind: 'counter',
    help: 'Live streams ended because a right was lost.',
    labels: [],
  },
  postern_gateway_connections_refused_total: {
    kind: 'counter',
    help: 'Connections ended before a request, or for a flood, by cause.',
    labels: ['cause'],
  },
  postern_gateway_access_lines_dropped_total: {
    kind: 'counter',
    help: 'Lines of the access log that could not be written.',
    labels: [],
  },
  postern_gateway_open_connections: {
    kind: 'gauge',
    help: 'Connections of visitors and fronts.',
    labels: [],
  },
  postern_gateway_open_streams: {
    kind: 'gauge',
    help: 'Answers under way, WebSockets to workspaces, and streams of the dashboard.',
    labels: ['kind'],
  },
  postern_gateway_live_streams: { kind: 'gauge', help: 'All of them together.', labels: [] },
  postern_gateway_pools: {
    kind: 'gauge',
    help: 'Pools of connections: one for each port in use of each workspace.',
    labels: [],
  },
  postern_gateway_pool_connections: {
    kind: 'gauge',
    help: 'Connections to workspaces that are kept or in use, sockets left out.',
    labels: ['state'],
  },
  postern_gateway_in_flight: {
    kind: 'gauge',
    help: 'Requests sent on to workspaces and not yet answered to the end.',
    labels: [],
  },
} as const satisfies Readonly<Record<string, MetricRow>>

export type MetricName = keyof typeof metricTable
