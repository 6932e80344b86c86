/**
 * Small authenticated GETs, bulk bytes both ways, and the forward-auth decision: Postern's gateway beside its peers,
 * rounds interleaved in one run, CPU time of all processes involved, load generator and upstream left out.
 */
import { files, startField, visitor, type Field, type Kind, type Target } from './field.ts'
import { load, type Load } from './load.ts'
import { rounds, type Bounds, type Lap, type Row } from './rounds.ts'

/** One table of the report. */
export interface Table {
  readonly title: string
  /** The row whose CPU time is 1.00. */
  readonly peer: string
  /** Bytes that each request moves: CPU time is told per megabyte too; 0: none to speak of. */
  readonly bytes: number
  readonly rows: readonly Row[]
}

const MEGABYTE = 1024 * 1024
const askBare = 'nginx + auth_request to a minimal Node server'

type Sent = Omit<Load, 'port' | 'headers'>
const small: Sent = { path: '/small?a=1', connections: 64 }
const bulk: readonly { readonly title: string; readonly bytes: number; readonly sent: Sent }[] = [
  { title: 'GET of 64 kB', bytes: files['64k'], sent: { path: '/64k', connections: 32 } },
  { title: 'GET of 10 MB', bytes: files['10m'], sent: { path: '/10m', connections: 8 } },
  {
    title: 'POST of 1 MB',
    bytes: MEGABYTE,
    sent: { path: '/post', connections: 8, bodyBytes: MEGABYTE },
  },
]

const lapOf = ({ name, port, pids, headers = visitor }: Target, sent: Sent): Lap => ({
  name,
  pids,
  // A body is sent by the page itself, as its Origin says.
  run: (seconds) =>
    load({ ...sent, port, headers: { ...headers, origin: `http://${headers['Host']}` } }, seconds),
})

async function withField<T>(only: string, use: (field: Field) => Promise<T>): Promise<T> {
  const field = await startField(0, only)
  try {
    return await use(field)
  } finally {
    await field.stop()
  }
}

const ofKind = (field: Field, kind: Kind): readonly Target[] =>
  field.targets.filter((target) => target.kind === kind)

/** Small GETs: proxies that check nothing, then those that decide first, then the decision alone. */
export function smallTables(bounds: Bounds, only: string): Promise<Table[]> {
  return withField(only, async (field) => {
    const tables: Table[] = []
    for (const [kind, peer] of [
      ['proxy', 'nginx'],
      ['proxy with a decision', askBare],
    ] as const) {
      const laps = ofKind(field, kind).map((target) => lapOf(target, small))
      tables.push({ title: `small GET, ${kind}`, peer, bytes: 0, rows: await rounds(kind, laps, bounds) })
    }
    const asked = {
      ...visitor,
      Host: '127.0.0.1',
      'x-original-url': `http://${visitor.Host}/small?a=1`,
      'x-original-method': 'GET',
    }
    const laps = field.decisions
      .filter(({ name }) => name.includes(only))
      .map(({ name, port, pids }): Lap => ({
        name,
        pids,
        run: (seconds) =>
          load({ path: '/api/authz/auth-request', connections: 64, port, headers: asked }, seconds),
      }))
    const rows = await rounds('decision', laps, bounds)
    return [...tables, { title: 'decision alone', peer: 'bare node:http handler', bytes: 0, rows }]
  })
}

/** Many bytes, each table with its CPU time per megabyte. */
export function bulkTables(bounds: Bounds, only: string): Promise<Table[]> {
  return withField(only, async (field) => {
    const tables: Table[] = []
    for (const { title, bytes, sent } of bulk) {
      const laps = field.targets.map((target) => lapOf(target, sent))
      tables.push({ title, peer: 'nginx', bytes, rows: await rounds(title, laps, bounds) })
    }
    return tables
  })
}
