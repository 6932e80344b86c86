/** A counting relay before an engine's socket: every call passes through it, and at call N it may end the caller. */
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'

/** When the caller dies: before its call is forwarded, or when the engine has answered and nobody was told. */
export type Moment = 'before' | 'after'

/** Ends the caller; told which call it was. */
export type Kill = (call: string) => Promise<void>

export interface Relay {
  readonly socketPath: string
  /** Counts from zero; at call `at` (1 is the first) `kill` is awaited, once. */
  arm(at: number, moment: Moment, kill: Kill): void
  close(): Promise<void>
}

/** Listens on `socketPath` and forwards to the engine at `engineSocket`. */
export async function relayTo(engineSocket: string, socketPath: string): Promise<Relay> {
  let count = 0
  let armed: { at: number; moment: Moment; kill: Kill } | null = null
  let hasFired = false

  const due = (mine: number, moment: Moment): Kill | null => {
    if (armed === null || hasFired || armed.at !== mine || armed.moment !== moment) return null
    hasFired = true
    return armed.kill
  }

  const forward = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const call = `${req.method} ${req.url?.split('?')[0]}`
    const mine = ++count
    const body = await buffer(req)
    const before = due(mine, 'before')
    if (before !== null) {
      await before(call)
      return void res.destroy()
    }
    const headers = { ...req.headers, connection: 'close' }
    const up = request({ socketPath: engineSocket, method: req.method, path: req.url, headers })
    res.once('close', () => up.destroy())
    up.end(body)
    const [answer] = (await once(up, 'response')) as [IncomingMessage]
    const isStream = /\/(events|logs)(\?|$)/.test(req.url ?? '')
    const whole = isStream ? null : await buffer(answer)
    const after = due(mine, 'after')
    if (after !== null) {
      await after(call)
      return void res.destroy()
    }
    res.writeHead(answer.statusCode ?? 502, answer.headers)
    if (whole === null) {
      res.flushHeaders()
      answer.pipe(res)
    } else res.end(whole)
  }

  const server = createServer((req, res) => {
    // The caller may be dead, or the engine may hang up: both are what this relay is for.
    forward(req, res).catch(() => res.destroy())
  })
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    socketPath,
    arm(at, moment, kill) {
      count = 0
      hasFired = false
      armed = { at, moment, kill }
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
