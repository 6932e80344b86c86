/** What is measured: Postern's gateway as the product composes it, with real facts and its production log. */
import { createHash } from 'node:crypto'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGateway } from '../../../gateway/index.ts'
import type { ListenAddress } from '../../../gateway/seams.ts'
import type { CertificateFiles } from '../../../gateway/tls/certificates.ts'
import { AccessLog } from '../../../control/cli/access-log.ts'
import { jsonLogger } from '../../../control/cli/log.ts'
import { type EdgeFact, portDefaults } from '../../../control/wire/index.ts'
import { signingFact, signingKey } from '../../support/signing-keys.ts'
import { noControl, routeRow, userRow } from '../../support/gateway-control.ts'
import { argument } from './listen.ts'

const { upstreamPort, tls } = argument<{ upstreamPort: number; tls?: CertificateFiles }>()
const sha256 = (secret: string): string => createHash('sha256').update(secret).digest('hex')
const expiresAtMs = 4_000_000_000_000
const parentHash = sha256('bench-session-of-the-dashboard-0123456789')
const hash = sha256('bench-session-of-the-workspace-host-0123456789')
const nearHash = sha256('bench-session-of-the-workspace-near-0123456789')

const facts: EdgeFact[] = [
  signingFact(signingKey(0)),
  {
    kind: 'user',
    key: 'u',
    row: userRow('u', { username: 'ada', email: 'ada@example.test' }),
  },
  {
    kind: 'route',
    key: 'w',
    row: routeRow('bench', {
      workspaceId: 'w',
      ownerId: 'u',
      incarnation: 'i',
      reach: { kind: 'ports', host: '127.0.0.1', ports: { '3000': upstreamPort } },
      defaultPort: 3000,
      ports: [{ ...portDefaults, port: 3000 }],
    }),
  },
  // The same program where a front can dial it itself.
  {
    kind: 'route',
    key: 'n',
    row: routeRow('near', {
      workspaceId: 'n',
      ownerId: 'u',
      incarnation: 'i',
      defaultPort: upstreamPort,
      ports: [{ ...portDefaults, port: 3000 }],
    }),
  },
  {
    kind: 'session',
    key: nearHash,
    row: {
      hash: nearHash,
      userId: 'u',
      expiresAtMs,
      workspace: { parentHash, workspaceId: 'n', label: `near-${upstreamPort}` },
    },
  },
  { kind: 'session', key: parentHash, row: { hash: parentHash, userId: 'u', expiresAtMs, workspace: null } },
  {
    kind: 'session',
    key: hash,
    row: { hash, userId: 'u', expiresAtMs, workspace: { parentHash, workspaceId: 'w', label: 'bench-3000' } },
  },
]

const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'))
const loopback = { host: '127.0.0.1', port: 0 }
const gateway = await startGateway({
  listen: [{ ...loopback, speaks: tls === undefined ? 'http' : 'https' }],
  ...(tls === undefined ? {} : { certificates: [tls] }),
  authzListen: loopback,
  publicUrl: 'http://localhost:8090',
  baseDomain: 'ws.localhost',
  trustedProxies: [],
  control: noControl,
  app: { request: (_req, res) => res.end(), upgrade: (_req, socket) => socket.destroy() },
  // On, but one user of the benchmark is as thousands.
  caps: { userSockets: 20_000, userUpgrades: 10_000, workspaceSockets: 20_000, workspaceUpgrades: 10_000 },
  accessLog: new AccessLog({
    to: join(folder, 'access.log'),
    maxBytes: 10 * 1024 * 1024,
    onTrouble: console.error,
  }),
  log: jsonLogger('info', createWriteStream('/dev/null')),
  now: Date.now,
})
gateway.sink.reset(1, facts)
const portOf = (address: ListenAddress | null | undefined): number =>
  address && 'port' in address ? address.port : 0
console.log(
  `listening ${JSON.stringify({ main: portOf(gateway.addresses[0]), authz: portOf(gateway.authzAddress) })}`,
)
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
process.once('SIGTERM', () => void gateway.close(0).then(() => process.exit(0)))
