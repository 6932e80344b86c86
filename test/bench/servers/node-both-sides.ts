/** Peer: a proxy of node:http on both sides with a keep-alive agent, no decision, no header work. */
import { Agent, createServer, request } from 'node:http'
import { announce, argument } from './listen.ts'

const { upstreamPort } = argument<{ upstreamPort: number }>()
const agent = new Agent({ keepAlive: true, maxSockets: 128 })

announce(
  createServer((req, res) => {
    const { method, url, headers } = req
    const out = request(
      { host: '127.0.0.1', port: upstreamPort, method, path: url, headers, agent },
      (answer) => {
        res.writeHead(answer.statusCode!, answer.rawHeaders)
        answer.pipe(res)
      },
    )
    out.on('error', () => res.destroy())
    req.pipe(out)
  }),
)
