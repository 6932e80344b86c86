// A request that came by plain HTTP, where https is meant, comes in; the same address by https goes out.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { paths } from '../../control/wire/index.ts'
import { pathOf, type Place, placeOfHostHeader, targetOf } from '../host/host.ts'
import { scanHeaders } from '../headers/scan.ts'
import { type Site, workspaceOrigin } from '../host/site.ts'

function say(res: ServerResponse, status: number, text: string, more: readonly string[] = []): void {
  res.writeHead(status, ['Content-Type', 'text/plain', 'Cache-Control', 'no-store', ...more])
  res.end(text)
}

function originOf(site: Site, place: Exclude<Place, { kind: 'elsewhere' }>): string {
  if (place.kind === 'workspace') return workspaceOrigin(site, place.label)
  return place.kind === 'paths' && site.paths !== null ? site.paths.origin : site.publicOrigin
}

/** Answers with where https is (308: method and body stay), for hosts of ours only; health is answered here. */
export function redirectToHttps(site: Site, req: IncomingMessage, res: ServerResponse): void {
  const { host, hostCount } = scanHeaders(req.rawHeaders)
  const target = targetOf(req.method ?? '', req.url ?? '', host)
  const close = ['Connection', 'close']
  if (hostCount > 1 || target.kind !== 'path')
    return say(res, 400, 'The request is not well-formed.\n', close)
  const place = placeOfHostHeader(host, site)
  if (place.kind !== 'workspace' && pathOf(target.target) === paths.healthz) return say(res, 200, 'ok\n')
  if (place.kind === 'elsewhere') return say(res, 421, 'This host name is not served here.\n', close)
  const origin = originOf(site, place)
  say(res, 308, 'This address is served by https.\n', ['Location', `${origin}${target.target}`, ...close])
}
