/** Run as a process of its own: a control that sends webhooks, until it is killed. */
import { openControl } from '../../control/index.ts'
import { listeningLog, usualOptions } from './control-server.ts'

openControl({
  ...usualOptions,
  stateDirectory: process.argv[2] ?? '',
  auditRetentionMs: 86_400_000,
  hookTargets: 'any',
  log: listeningLog(),
  now: Date.now,
}).then(
  () => process.send?.('open'),
  (err: unknown) => process.send?.(String(err)),
)
setInterval(() => undefined, 60_000)
