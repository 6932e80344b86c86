/**
 * A fake of what a CI machine can't have: an engine whose folder has project quotas. It stands before the machine's own
 * engine, takes the size out of what is asked, remembers it as such an engine would, and holds nothing.
 */
import { once } from 'node:events'
import { request, createServer, type IncomingMessage } from 'node:http'
import type { Server } from 'node:http'

const SOCKET = '/var/run/docker.sock'

export interface FakeQuotaEngine {
  /** Size by volume, as it was asked for. */
  readonly sizes: ReadonlyMap<string, string>
  close(): Promise<void>
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

interface Volume {
  readonly Name: string
  readonly Options?: Record<string, string>
}
interface Asked {
  readonly Name: string
  readonly DriverOpts?: Record<string, string>
}

/** Listens on a unix socket. */
export async function fakeQuotaEngine(socketPath: string): Promise<FakeQuotaEngine> {
  const sizes = new Map<string, string>()
  const server: Server = createServer((req, res) => {
    const serve = async (): Promise<void> => {
      const url = req.url ?? ''
      let body = await bodyOf(req)
      if (req.method === 'POST' && /\/volumes\/create(?:\?|$)/.test(url)) {
        const { DriverOpts: options, ...asked } = JSON.parse(body.toString()) as Asked
        if (options?.['size'] !== undefined && !sizes.has(asked.Name)) sizes.set(asked.Name, options['size'])
        body = Buffer.from(JSON.stringify(asked))
      }
      const name = /\/volumes\/([^/?]+)(?:\?|$)/.exec(url)?.[1] ?? ''
      if (req.method === 'DELETE') sizes.delete(name)
      const headers = { ...req.headers, 'content-length': String(body.length) }
      delete (headers as Record<string, unknown>)['transfer-encoding']
      const passed = request({ socketPath: SOCKET, path: url, method: req.method, headers }).end(body)
      const [answer] = (await once(passed, 'response')) as [IncomingMessage]
      const isList = /\/volumes(?:\?|$)/.test(url)
      if (req.method !== 'GET' || answer.statusCode !== 200 || (!isList && !sizes.has(name))) {
        res.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(res)
        return
      }
      const said = JSON.parse((await bodyOf(answer)).toString()) as Volume & {
        readonly Volumes: Volume[] | null
      }
      const sized = (volume: Volume): Volume =>
        sizes.has(volume.Name) ? { ...volume, Options: { size: sizes.get(volume.Name) ?? '' } } : volume
      res.writeHead(200, { 'content-type': 'application/json' })
      res.end(JSON.stringify(isList ? { ...said, Volumes: said.Volumes?.map(sized) ?? null } : sized(said)))
    }
    serve().catch(() => res.destroy())
  }).listen(socketPath)
  await once(server, 'listening')
  return {
    sizes,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
