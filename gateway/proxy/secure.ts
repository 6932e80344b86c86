// A byte stream to a program that speaks TLS comes in; the stream inside, or a coded error, comes out.
import { connect } from 'node:tls'
import type { Duplex } from 'node:stream'
import { ApiError } from '../../control/wire/index.ts'
import type { Dialled } from './connect.ts'

const HANDSHAKE_TIMEOUT_MS = 5000

/**
 * Speaks TLS over a stream that was dialled. Any certificate will do: the program is the workspace's own, reached by
 * our own dial, and whose name stands in its certificate would prove nothing more. `upstream_bad_answer` when the other
 * side doesn't speak TLS, `upstream_timeout` when it says nothing.
 */
export function overTls(stream: Duplex, done: Dialled): void {
  const secure = connect({
    socket: stream,
    rejectUnauthorized: false,
    // One name for all hosts of the port: they share its connections.
    servername: 'localhost',
    ALPNProtocols: ['http/1.1'],
  })
  const settle = (err: ApiError | null): void => {
    clearTimeout(timer)
    secure.removeListener('secureConnect', onSecure)
    secure.removeListener('error', onError)
    secure.removeListener('close', onClose)
    // As in connect.ts: nobody shall let go of a connection and take hold of it again for each request.
    if (err === null) return done(null, Object.assign(secure, { ref: undefined, unref: undefined }) as Duplex)
    secure.on('error', () => undefined)
    secure.destroy()
    stream.destroy()
    done(err, null)
  }
  const notTls = (cause?: unknown): ApiError =>
    new ApiError(
      'upstream_bad_answer',
      'The port is said to speak HTTPS, but its program does not; say http on the port.',
      { cause },
    )
  const onSecure = (): void => settle(null)
  const onError = (cause: Error): void => settle(notTls(cause))
  const onClose = (): void => settle(notTls())
  const timer = setTimeout(() => settle(new ApiError('upstream_timeout')), HANDSHAKE_TIMEOUT_MS)
  secure.once('secureConnect', onSecure)
  secure.once('error', onError)
  secure.once('close', onClose)
}
