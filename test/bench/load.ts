/** A URL on the loopback goes in; requests per second and latencies by `wrk` come out. Never aims elsewhere. */
import { execFile } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Prints one line of JSON at the end of a run. Source: wrk's SCRIPTING document, `done`. */
const script = ({ bodyBytes = 0, requestsFile }: Pick<Load, 'bodyBytes' | 'requestsFile'>): string => `
${requestsFile === undefined ? '' : inTurn(requestsFile)}
${bodyBytes > 0 ? `wrk.method = 'POST'\nwrk.body = string.rep('x', ${bodyBytes})` : ''}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"durationMicros":%d,"p50":%d,"p99":%d,"failed":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
`
const inTurn = (file: string): string => `
local requests, n = {}, 0
init = function()
  local file = io.open('${file}', 'rb')
  for length in file:lines() do requests[#requests + 1] = file:read(tonumber(length)) end
  file:close()
end
request = function()
  n = n % #requests + 1
  return requests[n]
end
`

const directory = mkdtempSync(join(tmpdir(), 'postern-bench-'))

let scripts = 0

function scriptFile(target: Load): string {
  const path = join(directory, `${scripts++}.lua`)
  writeFileSync(path, script(target))
  return path
}

export interface Load {
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Over TLS, whose certificate is not checked. */
  readonly tls?: boolean
  /** A POST with a body of that many bytes; absent: a GET. */
  readonly bodyBytes?: number
  /** Whole requests that are sent in turn, each after its length in bytes and a line's end; absent: all alike. */
  readonly requestsFile?: string
  /** Keep-alive connections at once. */
  readonly connections: number
}

export interface LoadResult {
  readonly requests: number
  readonly perSecond: number
  readonly p50Micros: number
  readonly p99Micros: number
}

/**
 * Loads from one thread for `seconds` (1 to 60).
 * @throws Error when any request failed: a figure of error answers would be worthless.
 */
export async function load(target: Load, seconds: number): Promise<LoadResult> {
  const headers = Object.entries(target.headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const url = `${target.tls === true ? 'https' : 'http'}://127.0.0.1:${target.port}${target.path}`
  const bounds = ['-t1', `-c${target.connections}`, `-d${seconds}s`, '--timeout', '10s']
  const { stdout } = await run('wrk', [...bounds, '-s', scriptFile(target), ...headers, url])
  const line = stdout.split('\n').find((text) => text.startsWith('{"requests"'))
  if (!line) throw new Error(`wrk printed no summary: ${stdout}`)
  const done = JSON.parse(line) as Record<'requests' | 'durationMicros' | 'p50' | 'p99' | 'failed', number>
  if (done.failed > 0) throw new Error(`${done.failed} of ${done.requests} requests to ${url} failed`)
  return {
    requests: done.requests,
    perSecond: done.requests / (done.durationMicros / 1e6),
    p50Micros: done.p50,
    p99Micros: done.p99,
  }
}
