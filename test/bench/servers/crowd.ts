/** What is measured: Postern's gateway with the facts of a large deployment, and what those take. Needs `--expose-gc`. */
import { startGateway } from '../../../gateway/index.ts'
import type { EdgeFact } from '../../../control/wire/index.ts'
import { jsonLogger } from '../../../control/cli/log.ts'
import { noControl } from '../../support/gateway-control.ts'
import { signingFact, signingKey } from '../../support/signing-keys.ts'
import { createWriteStream } from 'node:fs'
import { crowdFacts, type Size } from '../crowd.ts'
import { argument } from './listen.ts'

const loopback = { host: '127.0.0.1', port: 0 }
const gateway = await startGateway({
  listen: [loopback],
  authzListen: loopback,
  publicUrl: 'http://localhost:8090',
  baseDomain: 'ws.localhost',
  trustedProxies: [],
  control: noControl,
  app: { request: (_req, res) => res.end(), upgrade: (_req, socket) => socket.destroy() },
  log: jsonLogger('info', createWriteStream('/dev/null')),
  now: Date.now,
})

function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const before = heapBytes()
// As a gateway gets them: out of a text, so that no two rows share a string.
let text = crowdFacts(argument<Size>()).map((fact) => JSON.stringify(fact))
const startMs = performance.now()
gateway.sink.reset(1, [signingFact(signingKey(0)), ...text.map((each) => JSON.parse(each) as EdgeFact)])
const resetMs = Math.round(performance.now() - startMs)
text = []
const tableBytes = heapBytes() - before
const { authzAddress } = gateway
const authz = authzAddress !== null && 'port' in authzAddress ? authzAddress.port : 0
console.log(`listening ${JSON.stringify({ authz, tableBytes, resetMs })}`)
process.once('SIGTERM', () => void gateway.close(0).then(() => process.exit(0)))
