/** A token comes in; the feed as a gateway opens it goes out: what it hears, how it is refused, how it ends. */
import { once } from 'node:events'
import { type IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import { paths } from '../../control/wire/index.ts'

export interface Feed {
  readonly ws: WebSocket
  /** Types of the messages so far. */
  readonly heard: string[]
  /** The close code, once it has ended. */
  readonly ended: Promise<number>
  isOpen(): boolean
}

/** Opens the feed of the server at `url`; a refusal gives the code of its problem instead. */
export async function openFeed(url: string, bearer: string): Promise<Feed | string> {
  const ws = new WebSocket(`${url.replace('http', 'ws')}${paths.gatewayChanges}`, {
    headers: { authorization: `Bearer ${bearer}` },
  })
  const heard: string[] = []
  ws.on('message', (data) => heard.push((JSON.parse(String(data as Buffer)) as { type: string }).type))
  const ended = new Promise<number>((resolve) => ws.once('close', resolve))
  const refusal = new Promise<string>((resolve, reject) => {
    ws.once('error', reject)
    ws.once('unexpected-response', (_req, res: IncomingMessage) => {
      void res.toArray().then((parts) => {
        const problem = JSON.parse(Buffer.concat(parts as Buffer[]).toString()) as { code: string }
        resolve(`${res.statusCode} ${problem.code}`)
      }, reject)
    })
  })
  const opened = once(ws, 'open').then(() => ({
    ws,
    heard,
    ended,
    isOpen: () => ws.readyState === WebSocket.OPEN,
  }))
  const first = await Promise.race([opened, refusal])
  ws.on('error', () => undefined)
  return first
}
