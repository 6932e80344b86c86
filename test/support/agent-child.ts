/** A program: one agent with the Docker runtime, as its own process, told by one line of JSON on its standard input. */
import { createInterface } from 'node:readline'
import type { Logger, RuntimePlugin } from '@postern/plugin'
import docker from '@postern/plugin-docker'
import { httpControl } from '../../agent/http-control.ts'
import { startAgent } from '../../agent/index.ts'
import { systemClock } from '../../control/cli/clock.ts'

/** What the line says. The child loads its modules before it reads it, so that spares may stand by. */
export interface ChildOrder {
  readonly serverUrl: string
  readonly stateDirectory: string
  readonly pluginConfig: Readonly<Record<string, unknown>>
}

const write = (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
  const told = Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? value.stack : value]),
  )
  process.stderr.write(`${message} ${JSON.stringify(told)}\n`)
}
const log: Logger = { debug: () => undefined, info: write, warn: write, error: write, child: () => log }

for await (const line of createInterface({ input: process.stdin })) {
  const { serverUrl, stateDirectory, pluginConfig } = JSON.parse(line) as ChildOrder
  const agent = await startAgent({
    control: httpControl({ serverUrl, joinToken: 'psj_test', stateDirectory }),
    plugin: docker as RuntimePlugin,
    pluginConfig,
    stateDirectory,
    log,
    clock: systemClock,
    name: 'child',
    machineId: 'test-machine',
    version: '0.0.0',
    limits: { stopGraceMs: 1_000 },
  })
  process.once('SIGTERM', () => void agent.close().then(() => process.exit(0)))
}
// Nobody holds the other end any more: the test is over, however it ended.
process.exit(0)
