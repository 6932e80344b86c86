/** Run as a process of its own: a control that sends webhooks, until it is killed. */
import { openControl } from '../../control/index.ts'
import { listeningLog, roomy } from './control-server.ts'

openControl({
  stateDirectory: process.argv[2] ?? '',
  databaseUrl: null,
  publicUrl: 'http://localhost:8090',
  baseDomain: 'ws.localhost',
  machineId: 'machine-one',
  templateDirectories: [],
  limits: roomy,
  auditRetentionMs: 86_400_000,
  hookTargets: 'any',
  webRoot: null,
  version: '0',
  log: listeningLog(),
  now: Date.now,
}).then(
  () => process.send?.('open'),
  (err: unknown) => process.send?.(String(err)),
)
setInterval(() => undefined, 60_000)
