// A request's outgoing side comes in; http-proxy carries it, with all that is unsafe in it taken away; its events come back.
import { createRequire } from 'node:module'
import type { ClientRequest, IncomingMessage, RequestOptions, ServerResponse } from 'node:http'
import httpProxy from 'http-proxy'

/** What is told of a request that is carried. */
export interface Carried {
  /** The request as it leaves, before a byte of it is written: its body is the receiver's to write and to end. */
  sent(request: ClientRequest): void
  answered(answer: IncomingMessage): void
  /** No answer will come. */
  failed(err: Error): void
}

/** Stands where the library looks for a visitor's request. It reads of it only what is given here. */
export class Passenger {
  readonly method = ''
  readonly url = ''
  readonly headers = {}
  readonly socket = { destroyed: false }
  readonly outgoing: RequestOptions
  #carried: Carried | null
  #request: ClientRequest | null = null

  constructor(outgoing: RequestOptions, carried: Carried) {
    this.outgoing = outgoing
    this.#carried = carried
  }

  /** The library waits for `aborted`, which no Node of today emits, and for errors: both are the relay's to see. */
  on(): this {
    return this
  }

  /** The library pipes the body that it was given: the relay does that, from a stream that may break. */
  pipe(request: ClientRequest): ClientRequest {
    this.#request = request
    this.#carried?.sent(request)
    return request
  }

  answered(answer: IncomingMessage): void {
    // Without a listener, the end of a connection would be the end of the process.
    answer.on('error', (err) => this.failed(err))
    if (this.#carried === null) answer.destroy()
    else this.#carried.answered(answer)
  }

  failed(err: Error): void {
    this.#carried?.failed(err)
  }

  /** Ends the request and its connection; nothing is told after that. */
  end(): void {
    this.#carried = null
    this.#request?.destroy()
  }
}

type SetupOutgoing = (outgoing: object, options: unknown, req: unknown, forward?: string) => object
type Pass = { readonly name: string }

const common = createRequire(import.meta.url)('http-proxy/lib/http-proxy/common') as {
  setupOutgoing: SetupOutgoing
}
const setupOutgoing = common.setupOutgoing

// The original copies header fields through an object, joins slashes and calls what Node has deprecated.
common.setupOutgoing = (outgoing, options, req, forward) =>
  req instanceof Passenger ? req.outgoing : setupOutgoing(outgoing, options, req, forward)

function disarmed() {
  const proxy = httpProxy.createProxyServer({
    // Connections are the agent's to make; the library only wants to see a target.
    target: { protocol: 'http:', host: 'workspace.invalid', port: 80 },
    selfHandleResponse: true,
  })
  const passes = proxy as unknown as { webPasses: Pass[]; wsPasses: Pass[] }
  // Without deleteLength, which drops the framing of a body that it sends all the same, timeout and XHeaders.
  passes.webPasses = passes.webPasses.filter(({ name }) => name === 'stream')
  // WebSockets go by the same pass: the library's own writes heads unguarded and leaves sockets open.
  passes.wsPasses = []
  if (passes.webPasses.length !== 1) throw new Error('http-proxy has no pass named stream any more')
  proxy.on('proxyRes', (answer, req) => (req as unknown as Passenger).answered(answer))
  return proxy
}

const proxy = disarmed()
/** Where the library looks for a visitor's answer: that one is written by the relay. */
const answeredElsewhere = { headersSent: true, finished: true } as ServerResponse

const web = proxy.web as unknown as (
  req: Passenger,
  res: ServerResponse,
  failed: (err: Error) => void,
) => void

/** Sends one request on its way. @throws TypeError of Node for a field or target that it does not write. */
export function carry(passenger: Passenger): void {
  web.call(proxy, passenger, answeredElsewhere, (err) => passenger.failed(err))
}
