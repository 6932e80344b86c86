/** Traefik polls for its configuration; what the table says now goes out, made anew only when it has changed. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Edge } from '../edge.ts'
import { canonicalHost } from '../host/host.ts'
import { refuseQuestion } from './refuse.ts'
import { traefikConfig } from './traefik.ts'

/**
 * Answers Traefik's HTTP provider. While nothing is known yet it hears an error, and keeps what it has. The addresses
 * that it is told are those at which it reaches Postern: forward auth where it asks for this.
 */
export function traefikProvider(
  edge: Edge,
  posternAddress: () => string,
): (req: IncomingMessage, res: ServerResponse) => void {
  let made = { changes: -1, authz: '', body: Buffer.alloc(0) }
  return (req, res) => {
    const authz = req.headers.host ?? ''
    if (req.method !== 'GET' && req.method !== 'HEAD') return refuseQuestion(res, null, 'method_not_allowed')
    if (canonicalHost(authz) === null) return refuseQuestion(res, null, 'bad_request', 'Host is no host.')
    const { site, table } = edge
    if (!table.isReady) return refuseQuestion(res, null, 'unavailable', undefined, ['Retry-After', '1'])
    if (made.changes !== table.changes || made.authz !== authz) {
      const config = traefikConfig({ site, routes: table.routes(), authz, postern: posternAddress() })
      made = { changes: table.changes, authz, body: Buffer.from(JSON.stringify(config)) }
    }
    res.writeHead(200, [
      'Content-Type',
      'application/json',
      'Cache-Control',
      'no-store',
      'Content-Length',
      String(made.body.length),
    ])
    res.end(made.body)
  }
}
