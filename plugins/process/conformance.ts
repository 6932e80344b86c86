/** What the conformance kit needs to try this plugin: the probe under this Node.js, and what a look into /proc finds. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Host, WorkspaceSpec } from '@postern/plugin'
import { nodeProbe } from '@postern/plugin/testing'
import type { ConformanceFactory, Foreign } from '@postern/plugin/testing'
import { CLAIMS_DIRECTORY } from './accounts.ts'
import plugin from './index.ts'

/** Tries the process plugin as the user that it is run by. */
export const conformance: ConformanceFactory = {
  plugin,
  program: { command: nodeProbe(process.execPath) },
  leftovers,
  spawnForeign,
}

async function leftovers(host: Host): Promise<readonly string[]> {
  const marks = [`POSTERN_DEPLOYMENT=${host.deploymentId}`, `POSTERN_HOST=${host.hostId}`]
  const claim = JSON.stringify({ deploymentId: host.deploymentId, hostId: host.hostId }).slice(0, -1)
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const processes = pids.filter((pid) => marks.every((mark) => environmentOf(pid).includes(mark)))
  const directories = await readdir(join(host.stateDirectory, 'workspaces'))
  const claims = await readdir(CLAIMS_DIRECTORY).catch(() => [])
  const texts = await Promise.all(
    claims.map((uid) => readFile(join(CLAIMS_DIRECTORY, uid), 'utf8').catch(() => '')),
  )
  return [
    ...processes.map((pid) => `process ${pid}`),
    ...directories.map((name) => `directory ${name}`),
    ...texts.filter((text) => text.startsWith(claim)).map((text) => `uid for ${text}`),
  ]
}

function environmentOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
  } catch {
    return [] // It has ended, or is another user's, as none of ours is.
  }
}

/** A process with the variables of the workspace, but of another deployment. */
async function spawnForeign(host: Host, spec: WorkspaceSpec): Promise<Foreign> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
    detached: true,
    stdio: 'ignore',
    env: {
      POSTERN_DEPLOYMENT: `${host.deploymentId}-other`,
      POSTERN_HOST: host.hostId,
      POSTERN_WORKSPACE: spec.id,
    },
  })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    isUntouched: () => Promise.resolve(child.exitCode === null && child.signalCode === null),
    async remove() {
      child.kill('SIGKILL')
      await gone
    },
  }
}
