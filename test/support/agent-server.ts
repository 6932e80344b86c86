/** Control over HTTP for an agent in another process: a fake control behind the three paths of agents. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { ApiError, paths, registerSchema, reportSchema } from '../../control/wire/index.ts'
import { fakeControl, type FakeControl } from './agent-control.ts'

export interface AgentServer {
  readonly control: FakeControl
  readonly url: string
  close(): Promise<void>
}

/** Serves on a free port of 127.0.0.1; calls of an older epoch are refused, as control does. */
export async function agentServer(ids: { deploymentId: string; hostId: string }): Promise<AgentServer> {
  const control = fakeControl(ids)
  let epoch = 0
  const answer = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const cut = new AbortController()
    res.once('close', () => cut.abort(new Error('the agent hung up')))
    const url = new URL(req.url ?? '/', 'http://localhost')
    const call = { signal: cut.signal }
    const send = (body: unknown): void => void res.writeHead(200).end(JSON.stringify(body))
    if (url.pathname === paths.agentRegister) {
      const registered = await control.register(registerSchema.parse(await json(req)), call)
      epoch = registered.epoch
      return send({ ...registered, credential: 'psa_test' })
    }
    if (Number(req.headers['x-postern-epoch']) !== epoch) throw new ApiError('stale_epoch')
    if (url.pathname === paths.agentDesired) {
      return send(await control.desired(Number(url.searchParams.get('since')), call))
    }
    await control.report(reportSchema.parse(await json(req)), call)
    res.writeHead(204).end()
  }
  const server = createServer((req, res) => {
    answer(req, res).catch((err: unknown) => {
      const known = err instanceof ApiError ? err : new ApiError('internal', String(err))
      if (!res.destroyed) res.writeHead(known.status).end(JSON.stringify(known.problem('test')))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    control,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
