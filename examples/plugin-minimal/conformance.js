// What `postern plugin check` needs to try this plugin: how one of its workspaces runs the probe.
// @ts-check
import { nodeProbe } from '@postern/plugin/testing'
import plugin from './index.js'

/** @type {import('@postern/plugin/testing').ConformanceFactory} */
export const conformance = {
  plugin,
  program: { command: nodeProbe(process.execPath) },
}
