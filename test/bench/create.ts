/** Row 2: from "create" to the first HTTP answer on Docker, beside the same three commands given to Docker by hand. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { get } from 'node:http'
import { promisify } from 'node:util'
import { until } from '../support/until.ts'
import { startProduct, type Product } from './product.ts'

const run = promisify(execFile)
const docker = async (...args: string[]): Promise<string> => (await run('docker', args)).stdout.trim()

/** Made by `postern images build node-web`. */
export const createImage = 'postern/node-web:1'

/** Whether the engine answers and has the image; without it there is no row 2. */
export async function canCreate(): Promise<boolean> {
  return docker('image', 'inspect', createImage).then(
    () => true,
    () => false,
  )
}

/** Resolves when a GET is answered with 200. */
async function firstAnswer(address: { host: string; port: number }, hostHeader: string): Promise<void> {
  const ask = (): Promise<boolean> =>
    new Promise((resolve) => {
      const options = { ...address, path: '/', headers: { host: hostHeader }, agent: false, timeout: 2000 }
      const request = get(options, (answer) => {
        answer.resume()
        resolve(answer.statusCode === 200)
      })
      request.on('timeout', () => request.destroy())
      request.on('error', () => resolve(false))
    })
  await until(ask, { what: `an answer of ${hostHeader}`, timeoutMs: 60_000, everyMs: 3 })
}

async function byHand(): Promise<number> {
  const name = `postern-bench-${randomBytes(4).toString('hex')}`
  const begin = performance.now()
  try {
    await docker('network', 'create', '--label', 'postern-bench', name)
    await docker('volume', 'create', '--label', 'postern-bench', name)
    await docker('run', '-d', '--name', name, '--network', name, '-v', `${name}:/home/dev`, createImage)
    const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
    const host = await docker('inspect', '-f', format, name)
    await firstAnswer({ host, port: 3000 }, `${host}:3000`)
    return performance.now() - begin
  } finally {
    await docker('rm', '-f', name).catch(() => '')
    await docker('volume', 'rm', name).catch(() => '')
    await docker('network', 'rm', name).catch(() => '')
  }
}

async function byPostern(product: Product): Promise<number> {
  const name = `bench-${randomBytes(4).toString('hex')}x`
  const begin = performance.now()
  const made = await product.call('POST', '/api/v1/workspaces', {
    name,
    template: 'node-web',
    ports: [{ port: 3000, visibility: 'public' }],
  })
  try {
    await firstAnswer({ host: '127.0.0.1', port: product.port }, `${name}-3000.ws.localhost:${product.port}`)
    return performance.now() - begin
  } finally {
    const path = `/api/v1/workspaces/${String(made['id'])}`
    await product.call('DELETE', `${path}?purge=true`)
    await until(
      () =>
        product.call('GET', path).then(
          () => false,
          () => true,
        ),
      { what: 'the purge', timeoutMs: 30_000 },
    )
  }
}

export interface CreateFigures {
  readonly byHandMs: readonly number[]
  readonly byPosternMs: readonly number[]
}

/** `count` of each, in turn. */
export async function createFigures(count: number): Promise<CreateFigures> {
  const product = await startProduct('docker')
  const byHandMs: number[] = []
  const byPosternMs: number[] = []
  try {
    for (let i = 0; i < count; i++) {
      byHandMs.push(await byHand())
      byPosternMs.push(await byPostern(product))
      console.error(
        `create ${i + 1}: by hand ${byHandMs.at(-1)!.toFixed(0)} ms, Postern ${byPosternMs.at(-1)!.toFixed(0)} ms`,
      )
    }
  } finally {
    await product.stop()
  }
  return { byHandMs, byPosternMs }
}
