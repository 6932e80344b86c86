/** Small GETs over TLS 1.3 on connections that are kept: who terminates it, and at what CPU time. Postern decides as well. */
import { heapFlags } from '../../control/cli/heap.ts'
import { readFileSync, writeFileSync } from 'node:fs'
import { makeAuthority } from '../support/tls-authority.ts'
import type { Table } from './edge.ts'
import { proxyToApp, toApp, upstreamPart, visitor } from './field.ts'
import { load } from './load.ts'
import { caddyPart, haproxyPart, nginxPart, nodePart, type Part } from './part.ts'
import { rounds, type Bounds, type Lap } from './rounds.ts'

const nginxConf = (port: number, cert: string, key: string): string => `${toApp(port)}
  server { listen 127.0.0.1:PORT ssl; ssl_certificate ${cert}; ssl_certificate_key ${key};
    location / { ${proxyToApp} } }`

const haproxyConf = (port: number, bundle: string): string => `frontend in
  bind 127.0.0.1:PORT ssl crt ${bundle}
  default_backend app
backend app
  option forwardfor
  server app 127.0.0.1:${port} maxconn 7000`

const caddyConf = (port: number, cert: string, key: string): string => `https://:PORT {
  tls ${cert} ${key}
  reverse_proxy 127.0.0.1:${port}
}`

/** One table: nginx, HAProxy and Caddy check nothing; Postern finds the session and decides. */
export async function tlsTable(bounds: Bounds, only: string): Promise<Table> {
  const parts: Part[] = []
  const ends: (() => void)[] = []
  const start = async (starting: Promise<Part>): Promise<Part> => {
    const part = await starting
    parts.push(part)
    return part
  }
  try {
    const { cert, key } = makeAuthority({ teardown: (end) => void ends.push(end) }).issue('bench', [
      '*.ws.localhost',
      '127.0.0.1',
    ])
    const bundle = `${cert}.bundle`
    writeFileSync(bundle, `${readFileSync(cert, 'utf8')}${readFileSync(key, 'utf8')}`)
    const upstreamPort = (await start(upstreamPart())).ports['main']!
    const begin: Readonly<Record<string, () => Promise<Part>>> = {
      nginx: () => nginxPart(nginxConf(upstreamPort, cert, key)),
      HAProxy: () => haproxyPart(haproxyConf(upstreamPort, bundle)),
      Caddy: () => caddyPart(caddyConf(upstreamPort, cert, key)),
      Postern: () => nodePart('gateway', { upstreamPort, tls: { cert, key } }, heapFlags),
    }
    const laps: Lap[] = []
    for (const [name, starting] of Object.entries(begin)) {
      if (!name.includes(only)) continue
      const part = await start(starting())
      const asked = { port: part.ports['main']!, tls: true, path: '/small?a=1', connections: 64 }
      laps.push({
        name,
        pids: [part.pid],
        run: (seconds) => load({ ...asked, headers: visitor }, seconds),
      })
    }
    return { title: 'small GET over TLS', peer: 'nginx', bytes: 0, rows: await rounds('TLS', laps, bounds) }
  } finally {
    for (const part of parts.reverse()) await part.stop()
    for (const end of ends) end()
  }
}
