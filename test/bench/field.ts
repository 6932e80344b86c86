/** The upstream, Postern's gateway and the peers are started; what can be loaded, and whose CPU time counts, comes out. */
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRequire } from 'node:module'
import { heapFlags } from '../../control/cli/heap.ts'
import { exampleText, keepingConnections } from '../support/fronts-start.ts'
import { caddyPart, haproxyPart, nginxPart, nodePart, scriptPart, type Part } from './part.ts'

/** `proxy` moves bytes and checks nothing; the others decide on a session first. */
export type Kind = 'proxy' | 'proxy with a decision'

/** One way from a visitor to the workspace's program. */
export interface Target {
  readonly name: string
  readonly kind: Kind
  readonly port: number
  readonly pids: readonly number[]
  /** Where the request's headers are not those of `visitor`. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface Field {
  readonly targets: readonly Target[]
  /** The decision endpoints alone: not proxies. */
  readonly decisions: readonly Omit<Target, 'kind'>[]
  /** Of the workspace's program. */
  readonly upstreamPort: number
  stop(): Promise<void>
}

/** The workspace host that is asked for, and a session that may. `Host` so spelt, or wrk sends its own beside it. */
export const visitor = {
  Host: 'bench-3000.ws.localhost:8090',
  cookie: 'postern_workspace=bench-session-of-the-workspace-host-0123456789',
  accept: '*/*',
  'user-agent': 'wrk',
} as const

/** Sizes of the files that the upstream serves as `/<name>`, in bytes. */
export const files = { '64k': 64 * 1024, '10m': 10 * 1024 * 1024 } as const

// A POST is answered when all of its body has been read, as a program would: `return` alone would answer before.
const upstreamConf = (root: string): string => `access_log off; server { listen 127.0.0.1:PORT; root ${root};
  sendfile on; client_max_body_size 0; client_body_buffer_size 2m;
  location = /small { return 200 'a small answer of the workspace'; }
  location = /post { proxy_pass http://127.0.0.1:PORT/small; proxy_method GET; proxy_pass_request_body off;
    proxy_set_header Content-Length ''; }
  location / { try_files $uri =404; } }`

/** nginx's upstream `app` at a port, connections kept. */
export const toApp = (port: number): string =>
  `upstream app { server 127.0.0.1:${port}; keepalive 128; keepalive_requests 1000000; }
  map $http_upgrade $upgrade_or_none { default upgrade; '' ''; }
  client_max_body_size 0;`

/** nginx's way on to `app`. */
export const proxyToApp = `proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection $upgrade_or_none;
  proxy_set_header Upgrade $http_upgrade; proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;`

/** The least that keeps an answer for a second in nginx: one short key, one header taken from it. */
const keptDecision = `proxy_cache decisions; proxy_cache_key "$http_host$http_cookie"; proxy_cache_valid 200 1s;
      open_file_cache max=500 inactive=2s;`

/** What nginx asks a decision endpoint for. */
const askDecision = (port: number, path: string, keeping = ''): string => `
  upstream decision { server 127.0.0.1:${port}; keepalive 128; keepalive_requests 1000000; }
  server { listen 127.0.0.1:PORT;
    location / { auth_request /decision; auth_request_set $user $upstream_http_x_auth_user; ${proxyToApp}
      proxy_set_header X-Auth-User $user; }
    location = /decision { internal; ${keeping} proxy_pass http://decision${path}; proxy_http_version 1.1;
      proxy_set_header Connection ''; proxy_pass_request_body off; proxy_set_header Content-Length '';
      proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
      proxy_set_header X-Original-Method $request_method; } }`

const haproxyConf = (port: number): string => `frontend in
  bind 127.0.0.1:PORT
  default_backend app
backend app
  option forwardfor
  server app 127.0.0.1:${port} maxconn 7000`

const caddyConf = (
  port: number,
  decision: number | null,
): string => `http://127.0.0.1:PORT, http://*.ws.localhost:PORT {
  ${decision === null ? '' : `forward_auth 127.0.0.1:${decision} {\n    uri /decision\n    copy_headers X-Auth-User\n  }`}
  reverse_proxy 127.0.0.1:${port} {
  }
}`

const chp = (): string =>
  createRequire(import.meta.url).resolve('configurable-http-proxy/bin/configurable-http-proxy')

/** Starts everything; `upstreamPort` 0 takes an nginx with small answers and files as the workspace's program. */
export async function startField(upstreamPort: number, only: string): Promise<Field> {
  const parts: Part[] = []
  const stop = async (): Promise<void> => {
    for (const part of parts.reverse()) await part.stop()
  }
  const start = async (starting: Promise<Part>): Promise<Part> => {
    const part = await starting
    parts.push(part)
    return part
  }
  try {
    const port = upstreamPort === 0 ? (await start(upstreamPart())).ports['main']! : upstreamPort
    return { ...(await startTargets(port, only, start)), upstreamPort: port, stop }
  } catch (err) {
    await stop()
    throw err
  }
}

/** The workspace's program: an nginx with a small answer, files, and a place for uploads. */
export function upstreamPart(): Promise<Part> {
  const root = mkdtempSync(join(tmpdir(), 'postern-bench-files-'))
  // nginx's worker is another user.
  chmodSync(root, 0o755)
  for (const [name, size] of Object.entries(files)) writeFileSync(join(root, name), Buffer.alloc(size, 'x'))
  return nginxPart(upstreamConf(root))
}

async function startTargets(
  upstreamPort: number,
  only: string,
  start: (starting: Promise<Part>) => Promise<Part>,
): Promise<Pick<Field, 'targets' | 'decisions'>> {
  const targets: Target[] = []
  const bare = await start(nodePart('bare', null))
  const gateway = await start(nodePart('gateway', { upstreamPort }, heapFlags))
  const node = (name: string) => () => nodePart(name, { upstreamPort })
  const add = async (
    kind: Kind,
    name: string,
    begin: () => Promise<Part>,
    ...more: Part[]
  ): Promise<void> => {
    if (!name.includes(only)) return
    const part = await start(begin())
    targets.push({ name, kind, port: part.ports['main']!, pids: [part, ...more].map(({ pid }) => pid) })
  }
  const app = toApp(upstreamPort)
  const authz = gateway.ports['authz']!
  await add('proxy', 'nginx', () =>
    nginxPart(`${app} server { listen 127.0.0.1:PORT; location / { ${proxyToApp} } }`),
  )
  await add('proxy', 'HAProxy', () => haproxyPart(haproxyConf(upstreamPort)))
  await add('proxy', 'Caddy', () => caddyPart(caddyConf(upstreamPort, null)))
  await add('proxy', 'undici between Node servers', node('undici'))
  await add('proxy', 'node:http both sides', node('node-both-sides'))
  await add('proxy', 'http-proxy', node('http-proxy'))
  await add('proxy', 'http-proxy-3', node('http-proxy-3'))
  await add('proxy', '@fastify/http-proxy', node('fastify-http-proxy'))
  await add('proxy', 'configurable-http-proxy', () =>
    scriptPart(chp(), [
      '--ip',
      '127.0.0.1',
      '--default-target',
      `http://127.0.0.1:${upstreamPort}`,
      '--log-level',
      'error',
    ]),
  )
  const decided = 'proxy with a decision'
  await add(
    decided,
    'nginx + auth_request to a minimal Node server',
    () => nginxPart(`${app} ${askDecision(bare.ports['main']!, '/')}`),
    bare,
  )
  await add(
    decided,
    'nginx + auth_request to Postern',
    () => nginxPart(`${app} ${askDecision(authz, '/api/authz/auth-request')}`),
    gateway,
  )
  await add(
    decided,
    'nginx + auth_request to a minimal Node server, decision cached 1 s',
    () =>
      nginxPart(`proxy_cache_path DIRECTORY/decisions keys_zone=decisions:16m inactive=2s use_temp_path=off;
        ${app} ${askDecision(bare.ports['main']!, '/', keptDecision)}`),
    bare,
  )
  const decides = exampleText(
    'nginx/decide.conf',
    { front: 'PORT', postern: gateway.ports['main']!, authz },
    'DIRECTORY',
  )
  const cached = 'nginx + auth_request to Postern, decision cached 1 s'
  const near = {
    ...visitor,
    Host: `near-${upstreamPort}.ws.localhost:8090`,
    cookie: 'postern_workspace=bench-session-of-the-workspace-near-0123456789',
  }
  for (const [name, text] of [
    [cached, keepingConnections(decides, `127.0.0.1:${upstreamPort}`)],
    [`${cached}, a connection each`, decides],
  ] as const) {
    await add(decided, name, () => nginxPart(text), gateway)
    const target = targets.at(-1)
    if (target?.name === name) targets.splice(-1, 1, { ...target, headers: near })
  }
  await add(
    decided,
    'Caddy + forward_auth to a minimal Node server',
    () => caddyPart(caddyConf(upstreamPort, bare.ports['main']!)),
    bare,
  )
  if ('Postern'.includes(only))
    targets.push({ name: 'Postern', kind: decided, port: gateway.ports['main']!, pids: [gateway.pid] })
  return {
    targets,
    decisions: [
      { name: 'bare node:http handler', port: bare.ports['main']!, pids: [bare.pid] },
      { name: 'Postern forward auth', port: authz, pids: [gateway.pid] },
    ],
  }
}
