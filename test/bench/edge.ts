/**
 * Row 1: small authenticated GETs through Postern's gateway, and its forward-auth decision, beside their peers: rounds
 * interleaved in one run, CPU time of all processes involved, load generator and upstream left out.
 */
import { cpuMicros } from './cpu.ts'
import { load, type Load, type LoadResult } from './load.ts'
import { nginxPart, nodePart, type Part } from './part.ts'

/** What is loaded, and whose CPU time counts. */
export interface Target extends Load {
  readonly name: string
  /** `proxy` moves a small answer, `decision` only says yes. */
  readonly kind: 'proxy' | 'proxy with a decision' | 'decision'
  readonly pids: readonly number[]
}

export interface Row extends LoadResult {
  readonly name: string
  readonly kind: Target['kind']
  /** User and system time of all processes involved, per request. */
  readonly cpuMicros: number
}

export interface EdgeOptions {
  /** Of one round of one target. */
  readonly seconds: number
  readonly rounds: number
  /** Only targets whose name has this; '' takes all. */
  readonly only: string
}

const upstreamHttp = (port: number): string =>
  `upstream app { server 127.0.0.1:${port}; keepalive 128; keepalive_requests 1000000; }`

const proxyToApp = `proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection '';
  proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;`

/** What nginx asks a decision endpoint for. */
const askDecision = (port: number, path: string): string => `
  upstream decision { server 127.0.0.1:${port}; keepalive 128; keepalive_requests 1000000; }
  server { listen 127.0.0.1:PORT; 
    location / { auth_request /decision; auth_request_set $user $upstream_http_x_auth_user; ${proxyToApp}
      proxy_set_header X-Auth-User $user; }
    location = /decision { internal; proxy_pass http://decision${path}; proxy_http_version 1.1;
      proxy_set_header Connection ''; proxy_pass_request_body off; proxy_set_header Content-Length '';
      proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
      proxy_set_header X-Original-Method $request_method; } }`

const main = (part: Part, ...more: readonly Part[]): { port: number; pids: number[] } => ({
  port: part.ports['main']!,
  pids: [part, ...more].map(({ pid }) => pid),
})

/** Starts everything that is measured, each noted in `parts`: the upstream (nginx), Postern's gateway and the peers. */
async function startField(parts: Part[]): Promise<Target[]> {
  const note = async (starting: Promise<Part>): Promise<Part> => {
    const part = await starting
    parts.push(part)
    return part
  }
  const upstream = await note(
    nginxPart(
      `access_log off; server { listen 127.0.0.1:PORT; location / { return 200 'a small answer of the workspace'; } }`,
    ),
  )
  const upstreamPort = upstream.ports['main']!
  const app = upstreamHttp(upstreamPort)
  const gateway = await note(nodePart('gateway', { upstreamPort }))
  const bare = await note(nodePart('bare', null))
  const authz = gateway.ports['authz']!
  const nginx = await note(nginxPart(`${app} server { listen 127.0.0.1:PORT; location / { ${proxyToApp} } }`))
  const askBare = await note(nginxPart(`${app} ${askDecision(bare.ports['main']!, '/')}`))
  const askPostern = await note(nginxPart(`${app} ${askDecision(authz, '/api/authz/auth-request')}`))
  const undici = await note(nodePart('undici', { upstreamPort }))
  const bothSides = await note(nodePart('node-both-sides', { upstreamPort }))
  const httpProxy = await note(nodePart('http-proxy', { upstreamPort }))

  const host = 'bench-3000.ws.localhost'
  const cookie = 'postern_workspace=bench-session-of-the-workspace-host-0123456789'
  // `Host` so spelt, or wrk sends its own beside it.
  const headers = { Host: host, cookie, accept: '*/*', 'user-agent': 'wrk' }
  const asked = {
    ...headers,
    Host: '127.0.0.1',
    'x-original-url': `http://${host}/small?a=1`,
    'x-original-method': 'GET',
  }
  const plain = { path: '/small?a=1', headers, kind: 'proxy' as const }
  const decided = { ...plain, kind: 'proxy with a decision' as const }
  const decision = { path: '/api/authz/auth-request', headers: asked, kind: 'decision' as const }
  return [
    { name: 'nginx', ...plain, ...main(nginx) },
    { name: 'undici between Node servers', ...plain, ...main(undici) },
    { name: 'node:http both sides', ...plain, ...main(bothSides) },
    { name: 'http-proxy', ...plain, ...main(httpProxy) },
    { name: 'nginx + auth_request to a minimal Node server', ...decided, ...main(askBare, bare) },
    { name: 'nginx + auth_request to Postern', ...decided, ...main(askPostern, gateway) },
    { name: 'Postern', ...decided, ...main(gateway) },
    { name: 'bare node:http handler', ...decision, ...main(bare) },
    { name: 'Postern forward auth', ...decision, port: authz, pids: [gateway.pid] },
  ]
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

async function measure(target: Target, seconds: number): Promise<Row> {
  const before = cpuMicros(target.pids)
  const result = await load(target, seconds)
  const used = cpuMicros(target.pids) - before
  return { name: target.name, kind: target.kind, ...result, cpuMicros: used / result.requests }
}

/** Runs all targets `rounds` times, one after the other, and gives the median of each figure. */
export async function edgeRows(options: EdgeOptions): Promise<Row[]> {
  const parts: Part[] = []
  try {
    const targets = (await startField(parts)).filter((target) => target.name.includes(options.only))
    for (const target of targets) await load(target, 1)
    const seen = new Map<string, Row[]>()
    for (let round = 0; round < options.rounds; round++) {
      for (const target of targets) {
        const row = await measure(target, options.seconds)
        seen.set(target.name, [...(seen.get(target.name) ?? []), row])
        console.error(`round ${round + 1}: ${target.name}: ${row.cpuMicros.toFixed(1)} µs`)
      }
    }
    return targets.map((target) => {
      const rows = seen.get(target.name)!
      const mid = (key: 'cpuMicros' | 'perSecond' | 'p50Micros' | 'p99Micros' | 'requests'): number =>
        median(rows.map((row) => row[key]))
      return {
        name: target.name,
        kind: target.kind,
        requests: mid('requests'),
        cpuMicros: mid('cpuMicros'),
        perSecond: mid('perSecond'),
        p50Micros: mid('p50Micros'),
        p99Micros: mid('p99Micros'),
      }
    })
  } finally {
    for (const part of parts.reverse()) await part.stop()
  }
}
