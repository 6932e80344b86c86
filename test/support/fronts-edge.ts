/** A gateway with the facts of `fronts-facts.ts`, ports on the loopback, and a control that knows only the hand-off's codes. */
import { createHash, randomBytes } from 'node:crypto'
import { startGateway } from '../../gateway/index.ts'
import type { Gateway, ListenAddress } from '../../gateway/seams.ts'
import { ApiError, type EdgeControl, type EdgeFact } from '../../control/wire/index.ts'
import { silentLogger } from './fronts-log.ts'
import { hashOf, noControl } from './gateway-control.ts'

type Grant = Parameters<EdgeControl['issueCode']>[0]

/** Issues codes once, for one challenge and label each, and tells the sink of the sessions that come of them. */
function codeControl(feed: (facts: EdgeFact[]) => void): EdgeControl {
  const codes = new Map<string, Grant>()
  return {
    ...noControl,
    issueCode(grant) {
      const code = randomBytes(24).toString('base64url')
      codes.set(code, grant)
      return Promise.resolve(code)
    },
    redeemCode({ code, nonce, label }) {
      const grant = codes.get(code)
      codes.delete(code)
      if (
        !grant ||
        grant.label !== label ||
        grant.challenge !== createHash('sha256').update(nonce).digest('base64url')
      )
        return Promise.reject(new ApiError('forbidden'))
      const token = randomBytes(24).toString('base64url')
      const hash = hashOf(token)
      const { parentHash, workspaceId, userId } = grant
      const expiresAtMs = 4_000_000_000_000
      const workspace = { parentHash, workspaceId, label }
      feed([{ kind: 'session', key: hash, row: { hash, userId, expiresAtMs, workspace } }])
      return Promise.resolve({ token, expiresAtMs })
    },
  }
}

export interface TestEdge {
  readonly gateway: Gateway
  /** Postern's main listener, and that of forward auth. */
  readonly main: number
  readonly authz: number
  /** More facts, at a new revision. */
  apply(facts: readonly EdgeFact[]): void
}

const portOf = (address: ListenAddress | null | undefined): number =>
  address && 'port' in address ? address.port : 0

export interface EdgeSettings {
  readonly publicUrl: string
  readonly now?: () => number
  /** Control has told nothing yet. */
  readonly withoutFacts?: boolean
}

/** Starts it; the loopback is a trusted proxy. */
export async function startEdge(facts: readonly EdgeFact[], settings: EdgeSettings): Promise<TestEdge> {
  let revision = 1
  const apply = (more: readonly EdgeFact[]): void => gateway.sink.apply(++revision, more)
  const gateway = await startGateway({
    listen: [{ host: '127.0.0.1', port: 0 }],
    authzListen: { host: '127.0.0.1', port: 0 },
    publicUrl: settings.publicUrl,
    baseDomain: 'ws.localhost',
    trustedProxies: ['127.0.0.0/8'],
    control: codeControl(apply),
    app: {
      request: (_req, res, identity) => res.end(JSON.stringify({ dashboard: true, identity })),
      upgrade: (_req, socket) => socket.destroy(),
    },
    log: silentLogger,
    now: settings.now ?? Date.now,
  })
  if (settings.withoutFacts !== true) gateway.sink.reset(revision, facts)
  return { gateway, main: portOf(gateway.addresses[0]), authz: portOf(gateway.authzAddress), apply }
}
