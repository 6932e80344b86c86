// Pure. An engine's error comes in; its code, what its owner is told, and whether a fresh connection could mend it come out.
import { type ApiCode, ApiError } from '../../control/wire/index.ts'

const NETWORK: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])

/** True when the connection broke, and nothing else is known to be wrong. */
export const isBrokenLine = (err: Error & { code?: string }): boolean => NETWORK.has(err.code ?? '')

/** What an engine's error means to a visitor. */
export function codeOfFailure(err: unknown): ApiCode {
  if (err instanceof ApiError) return err.code
  const raw = typeof err === 'object' && err !== null ? (err as { code?: unknown }).code : undefined
  const code = typeof raw === 'string' ? raw : ''
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_CONNECT_TIMEOUT') return 'upstream_timeout'
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') return 'upstream_unreachable'
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') return 'bad_request'
  return 'upstream_bad_answer'
}

/** For the owner of an app that a parser which forgives could serve. */
export const LENIENT =
  'The program’s answer breaks the rules of HTTP. Mark the port “lenient” to have that forgiven.'

/** What the owner of an app is told of a failure, where there is more to say than its code. */
export function detailOf(err: Error & { code?: string }): string | undefined {
  if (err instanceof ApiError) return err.detail
  const wasTooStrict = err.name === 'HTTPParserError' || err.code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'
  return wasTooStrict ? LENIENT : undefined
}
