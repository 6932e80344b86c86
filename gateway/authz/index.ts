// Requests of a front proxy's forward auth come in on a listener of their own; refused until the endpoints are here.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '@postern/plugin'
import type { Site } from '../site.ts'
import type { Table } from '../table.ts'
import type { Blocks } from '../trust.ts'

/** What the forward-auth endpoints decide with. */
export interface AuthzDeps {
  readonly site: Site
  readonly table: Table
  /** Peers whose word is taken; on a unix socket the peer's address is ''. */
  readonly trusted: Blocks
  readonly log: Logger
  now(): number
}

/** Answers every request on the forward-auth listener; health and metrics are taken out before. */
export function authzHandler(_deps: AuthzDeps): (req: IncomingMessage, res: ServerResponse) => void {
  return (_req, res) => {
    res.writeHead(503, { 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
    res.end('{"status":503,"code":"unavailable"}')
  }
}
