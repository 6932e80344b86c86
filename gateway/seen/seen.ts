// What will be told of one request or socket is gathered here while it runs.
import type { Socket } from 'node:net'
import type { RouteClass } from './classes.ts'

/** What is told of one request or socket. One object of fixed shape each; it outlives the request of a WebSocket. */
export class Seen {
  kind: RouteClass
  /** '' , a way to end, or a code of the API. */
  cause = ''
  /** Why the decision refused, beside the code. */
  reason = ''
  /** 0 until a head was sent. */
  status = 0
  /** Bytes of the bodies; of sockets and of the dashboard's app, of the connection. */
  received = 0
  sent = 0
  /** ms after the start; -1: no answer began. */
  headMs = -1
  port = 0
  userId = ''
  workspaceId = ''
  /** '' is the usual engine. */
  engine = ''
  retried = false
  /** Of the trace that has a span of it; '' is none. */
  traceId = ''
  /** Ended once, by `endSpan`. */
  span: { end(): void } | null = null
  isOver = false
  /** By the rule of trusted proxies; '' on a unix socket. */
  client: string
  /** The label of a workspace's host, '' on the dashboard's, else what may be shown of the Host. */
  readonly host: string
  readonly method: string
  /** As it came, query included; the line leaves that out. */
  readonly target: string
  readonly requestId: string
  readonly startMs = performance.now()
  #counted: Socket | null = null

  constructor(
    kind: RouteClass,
    requestId: string,
    client: string,
    host: string,
    method: string,
    target: string,
  ) {
    this.kind = kind
    this.requestId = requestId
    this.client = client
    this.host = host
    this.method = method
    this.target = target
  }

  /** The head of the answer has come or is being made. */
  head(): void {
    if (this.headMs < 0) this.headMs = performance.now() - this.startMs
  }

  /** From here on the bytes of that connection are this one's. */
  countFrom(socket: Socket): void {
    this.#counted = socket
    this.received = -socket.bytesRead
    this.sent = -socket.bytesWritten
  }

  /** The span is of the request: that of a WebSocket ends when it is open. */
  endSpan(): void {
    const { span } = this
    this.span = null
    span?.end()
  }

  /** Settles the counts of bytes. */
  end(): void {
    const socket = this.#counted
    if (socket === null) return
    this.#counted = null
    this.received += socket.bytesRead
    this.sent += socket.bytesWritten
  }
}
