/** Attacks on the plain port, by slowhttptest and by our own: what was answered, and what another visitor feels. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { AttackKind } from '../support/soak-attack.ts'
import { startSoakEdge, type SoakEdge } from '../support/soak-edge.ts'
import { besieged, siege, type Siege } from '../support/soak-siege.ts'
import { held, megabytes, type Results } from './table.ts'

const run = promisify(execFile)
const TOOL = '/usr/bin/slowhttptest'

/** Kind, connections at once, and what must be among the answers. */
const own: readonly (readonly [AttackKind, number, string | undefined])[] = [
  ['garbage', 50, '400'],
  ['tls', 50, '400'],
  ['long head', 50, '431'],
  ['many fields', 50, '431'],
  ['long target', 50, '431'],
  ['pipelining, unread', 50, undefined],
  ['pipelining', 50, '429'],
  ['pipelining', 400, '429'],
  ['slow head', 500, '408'],
  ['slow body', 300, undefined],
  ['slow read', 100, undefined],
  ['large form', 20, '413'],
  ['held requests', 1000, '429'],
  ['idle connections', 900, undefined],
]

/** The tool's three modes; requests reach ada's workspace by the absolute form of their target. */
const modes: Readonly<Record<string, readonly string[]>> = {
  'slowhttptest, head': ['-H', '-u', 'http://soak.ws.localhost:8090/small'],
  'slowhttptest, body': ['-B', '-s', '65536', '-u', 'http://soak.ws.localhost:8090/sink'],
  'slowhttptest, read': [
    '-X',
    '-w',
    '8',
    '-y',
    '16',
    '-n',
    '5',
    '-z',
    '16',
    '-u',
    'http://soak.ws.localhost:8090/bytes/10000000',
  ],
}

async function byTool(edge: SoakEdge, words: readonly string[], seconds: number): Promise<string> {
  const bounds = ['-c', '500', '-r', '200', '-i', '2', '-l', String(seconds), '-d', `127.0.0.1:${edge.port}`]
  const { stdout } = await run(TOOL, [...words, ...bounds, '-j', 'postern_workspace=session-of-ada'], {
    maxBuffer: 64e6,
  })
  // eslint-disable-next-line no-control-regex
  const plain = stdout.replace(/\u001b\[[0-9;]*m/g, '')
  return /Exit status:\s*(.+)/.exec(plain)?.[1]?.trim() ?? 'ended'
}

const FACTOR = 10
const SLACK_MS = 100
const MEMORY_BYTES = 500e6

/** Each attack goes on for `seconds`. */
export async function hostileResults(seconds: number): Promise<Results> {
  const edge = await startSoakEdge({})
  try {
    await siege(edge, 'garbage', 20, 1000)
    const quiet = await besieged(edge, pause(3000))
    const before = await edge.atRest()
    const bound = FACTOR * quiet.p99Ms + SLACK_MS
    const rows: Results['rows'][number][] = []
    const add = (name: string, said: string, isTold: boolean, felt: Omit<Siege, 'answers'>): void => {
      const latency = [felt.p50Ms.toFixed(1), held(felt.p99Ms.toFixed(1), felt.p99Ms < bound)]
      const peak = held(megabytes(felt.peakBytes), felt.peakBytes < MEMORY_BYTES)
      rows.push([name, held(said, isTold && edge.isAlive()), ...latency, peak])
    }
    add('nothing', '–', true, quiet)
    for (const [kind, connections, code] of own) {
      const felt = await siege(edge, kind, connections, seconds * 1000, code)
      const said = Object.entries(felt.answers).map(([status, times]) => `${status} × ${times}`)
      add(`${kind} × ${connections}`, said.join(', '), code === undefined || code in felt.answers, felt)
    }
    for (const [name, words] of Object.entries(existsSync(TOOL) ? modes : {})) {
      const { result, ...felt } = await besieged(edge, byTool(edge, words, Math.max(seconds, 25)))
      add(`${name} × 500`, result, true, felt)
    }
    const after = await edge.atRest()
    const grown = after.heapBytes - before.heapBytes
    const left = after.files - before.files
    rows.push([
      'left over: files, heap kB',
      held(String(left), left === 0),
      held((grown / 1000).toFixed(0), grown < 3e6),
      '',
      '',
    ])
    return {
      title: `attack, ${seconds} s each`,
      head: ['answers', 'another’s p50 ms', 'p99 ms', 'edge MB'],
      rows,
    }
  } finally {
    await edge.close()
  }
}
