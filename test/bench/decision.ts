/** The decision endpoint of a large deployment beside a bare handler that is sent the same bytes; its latency at a fair load; its memory. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { heapFlags } from '../../control/cli/heap.ts'
import { crowdRequests, large, type CrowdRequest, type Size } from './crowd.ts'
import type { Table } from './edge.ts'
import { load } from './load.ts'
import { paced } from './paced.ts'
import { apart } from './apart.ts'
import { nodePart } from './part.ts'
import { measure, rounds, type Bounds, type Lap } from './rounds.ts'

const PATH = '/api/authz/auth-request'
const CONNECTIONS = 64
/** How much of a core it takes at the steady load. */
const SHARE = 0.6
/** Its rate is found by trying so often: a request costs more where fewer come at once. */
const TRIES = 3

export interface DecisionFigures {
  readonly table: Table
  /** At the rate that takes 60 % of a core: the bare handler beside it shows what of the latency is the machine's. */
  readonly steady: Table
  readonly tableBytes: number
  /** Until a whole set of facts is taken, ms. */
  readonly resetMs: number
}

const headersOf = ({ host, cookie }: CrowdRequest): Readonly<Record<string, string>> => ({
  Host: '127.0.0.1',
  'X-Original-URL': `http://${host}/small?a=1`,
  'X-Original-Method': 'GET',
  Accept: '*/*',
  'User-Agent': 'wrk',
  Cookie: cookie,
})

const bytesOf = (headers: Readonly<Record<string, string>>): Buffer =>
  Buffer.from(
    `GET ${PATH} HTTP/1.1\r\n${Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}\r\n`,
    'latin1',
  )

/** Rounds of both at full load, then at a steady one. */
export async function decisionFigures(bounds: Bounds, size: Size = large): Promise<DecisionFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-crowd-'))
  const file = join(folder, 'requests')
  const asked = crowdRequests(size).map(headersOf)
  const bytes = asked.map(bytesOf)
  writeFileSync(file, bytes.map((each) => `${each.length}\n${each.toString('latin1')}`).join(''))
  const bare = await nodePart('bare', null)
  const crowd = await nodePart('crowd', size, ['--expose-gc', ...heapFlags])
  try {
    const port = crowd.ports['authz']!
    const bareName = 'bare node:http handler'
    const name = 'Postern forward auth'
    const servers = [
      { name: bareName, pids: [bare.pid], port: bare.ports['main']! },
      { name, pids: [crowd.pid], port },
    ]
    const laps = servers.map((server): Lap => ({
      ...server,
      run: (seconds) =>
        load(
          { port: server.port, path: PATH, headers: {}, requestsFile: file, connections: CONNECTIONS },
          seconds,
        ),
    }))
    // Every visitor once and more: signatures, compiled code, and the heap as it stays.
    for (const { run } of laps) await run(3)
    const rows = await rounds('decision of a large deployment', laps, bounds)
    let perSecond = (SHARE * 1e6) / rows.find((row) => row.name === name)!.cpuMicros
    const steadily = servers.map((server): Lap => ({
      ...server,
      run: (seconds) =>
        apart(server.pids, () => paced(server.port, bytes, { perSecond, seconds, connections: CONNECTIONS })),
    }))
    const ours = steadily.find((lap) => lap.name === name)!
    for (let i = 0; i < TRIES; i++)
      perSecond = (SHARE * 1e6) / (await measure(ours, bounds.seconds)).cpuMicros
    const of = { peer: bareName, bytes: 0 }
    return {
      table: {
        ...of,
        title: `decision of ${size.users} users, ${size.workspaces} workspaces, ${size.grants} grants`,
        rows,
      },
      steady: {
        ...of,
        title: 'the same, steadily at the rate that takes 60 % of a core, which the load does not share',
        rows: await rounds('steady decisions', steadily, bounds),
      },
      tableBytes: crowd.ports['tableBytes']!,
      resetMs: crowd.ports['resetMs']!,
    }
  } finally {
    await crowd.stop()
    await bare.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
