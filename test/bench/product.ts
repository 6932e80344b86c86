/** The built product, started as a user starts it, in a state directory of its own; its API, as a user's script calls it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../support/free-port.ts'
import { heapFlags } from '../../control/cli/heap.ts'
import { until } from '../support/until.ts'

export interface Product {
  readonly pid: number
  readonly port: number
  /** JSON in, JSON out, signed in as the first administrator. @throws Error with the answer when it is no success. */
  call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>
  stop(): Promise<void>
}

const main = new URL('../../control/cli/main.js', import.meta.url).pathname

/** Starts `postern standalone` with the given runtime and makes the first administrator. */
export async function startProduct(runtime: 'docker' | 'process'): Promise<Product> {
  const state = mkdtempSync(join(tmpdir(), 'postern-bench-state-'))
  const port = await freePort()
  const args = ['standalone', '--listen', `127.0.0.1:${port}`, '--authz-listen', 'off']
  const child = spawn(
    process.execPath,
    [...heapFlags, main, ...args, '--state-directory', state, '--runtime', runtime],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_ENV: 'production', XDG_CONFIG_HOME: state },
    },
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const setup = await until(() => /setup\?token=([A-Za-z0-9_-]+)/.exec(said)?.[1], {
    what: 'the setup link',
    timeoutMs: 20_000,
  }).catch((cause: unknown) => {
    child.kill('SIGKILL')
    throw new Error(`the product did not start: ${said}`, { cause })
  })
  const post = (path: string, body: unknown): Promise<Response> =>
    fetch(`http://localhost:${port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: `http://localhost:${port}` },
      body: JSON.stringify(body),
    })
  const answer = await post('/api/v1/setup', {
    token: setup,
    username: 'ada',
    password: 'a long pass phrase',
  })
  if (answer.status !== 201) throw new Error(`setup: ${answer.status} ${await answer.text()}`)
  const cookie = answer.headers.getSetCookie()[0]!.split(';')[0]!
  return {
    pid: child.pid!,
    port,
    async call(method, path, body) {
      const reply = await fetch(`http://localhost:${port}${path}`, {
        method,
        headers: { 'content-type': 'application/json', origin: `http://localhost:${port}`, cookie },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await reply.text()
      if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`)
      return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
    },
    async stop() {
      if (child.exitCode === null) {
        const exit = once(child, 'exit')
        child.kill('SIGTERM')
        await exit
      }
      rmSync(state, { recursive: true, force: true })
    },
  }
}
