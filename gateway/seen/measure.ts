// The parts of a running gateway come in; a snapshot of what they counted and of what is open now goes out.
import type { Edge } from '../edge.ts'
import type { MetricName } from './metric-table.ts'
import { type MetricsSnapshot, processSamples } from './snapshot.ts'

type Put = (name: MetricName, key: string, value: number) => void

function putMomentary(edge: Edge, connections: number, put: Put): void {
  const kinds = edge.live.kinds()
  const pools = edge.pools.states()
  put('postern_gateway_open_connections', '', connections)
  put('postern_gateway_open_streams', '{kind="answer"}', kinds.answers)
  put('postern_gateway_open_streams', '{kind="websocket"}', kinds.sockets)
  put('postern_gateway_open_streams', '{kind="dashboard"}', kinds.dashboard)
  put('postern_gateway_live_streams', '', edge.live.size)
  put('postern_gateway_pools', '', pools.pools)
  put('postern_gateway_pool_connections', '{state="idle"}', pools.idle)
  put('postern_gateway_pool_connections', '{state="in_use"}', pools.connections - pools.idle)
  put('postern_gateway_in_flight', '', pools.inFlight)
  put('postern_gateway_access_lines_dropped_total', '', edge.accessLog?.dropped ?? 0)
}

/** The metrics of this process now; `connections` are those that visitors and fronts have open. */
export async function snapshotOf(edge: Edge, connections: number): Promise<MetricsSnapshot> {
  const own: Partial<Record<MetricName, Record<string, number>>> = {}
  const put: Put = (name, key, value) => {
    ;(own[name] ??= {})[key] = value
  }
  edge.counters.revoked = edge.live.revoked
  edge.counters.samples(put)
  putMomentary(edge, connections, put)
  return { own, process: await processSamples() }
}
