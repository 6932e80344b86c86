/** Peer: undici's dispatch between node:http and the upstream, no decision, no header work. */
import { createServer } from 'node:http'
import { Pool, type Dispatcher } from 'undici'
import { announce, argument } from './listen.ts'

const { upstreamPort } = argument<{ upstreamPort: number }>()
const pool = new Pool(`http://127.0.0.1:${upstreamPort}`, { connections: 64, pipelining: 1 })

announce(
  createServer((req, res) => {
    const handler: Dispatcher.DispatchHandler = {
      onConnect() {},
      onHeaders(status, headers) {
        res.writeHead(status, headers!.map((part) => part.toString('latin1')) as unknown as string[])
        return true
      },
      onData(chunk) {
        res.write(chunk)
        return true
      },
      onComplete() {
        res.end()
      },
      onError() {
        res.destroy()
      },
    }
    const headers = req.rawHeaders.filter((_, i, all) => !/^connection$/i.test(all[i - (i % 2)]!))
    const body = req.headers['content-length'] === undefined ? null : req
    pool.dispatch({ path: req.url!, method: req.method as 'GET', headers, body }, handler)
  }),
)
