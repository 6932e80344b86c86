// A POST of a form comes in; its fields come out.
import getRawBody from 'raw-body'
import { ApiError } from '../../control/wire/index.ts'
import type { Visit } from '../edge.ts'

const FORM_MAX_BYTES = 16 * 1024

/** Reads a form. @throws ApiError unsupported_media_type, payload_too_large, bad_request */
export async function readForm(visit: Visit): Promise<URLSearchParams> {
  const { req, res } = visit
  const type = (req.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/x-www-form-urlencoded')
    throw new ApiError('unsupported_media_type', 'A form is sent as application/x-www-form-urlencoded.')
  if (Number(visit.scan.contentLength ?? 0) > FORM_MAX_BYTES) throw new ApiError('payload_too_large')
  if (visit.expectsContinue) res.writeContinue()
  try {
    return new URLSearchParams(await getRawBody(req, { limit: FORM_MAX_BYTES, encoding: 'utf8' }))
  } catch (err) {
    const isLarge = (err as { status?: number }).status === 413
    throw new ApiError(isLarge ? 'payload_too_large' : 'bad_request', undefined, { cause: err })
  }
}

/** The query of a request target. */
export function queryOf(target: string): URLSearchParams {
  const at = target.indexOf('?')
  return new URLSearchParams(at < 0 ? '' : target.slice(at + 1))
}
