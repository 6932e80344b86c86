/** A request goes in; its JSON body comes out, or a coded refusal. */
import type { IncomingMessage } from 'node:http'
import { ApiError } from '../wire/index.ts'

/** Bodies of people's requests end here, in bytes. */
export const BODY_MAX = 1024 * 1024
/** Reports of agents about thousands of workspaces end here, in bytes. */
export const REPORT_MAX = 16 * 1024 * 1024
/** A body that is too large is read to its end up to here, so that the client reads our answer instead of a reset. */
const DRAIN_MAX = 128 * 1024 * 1024
const BODY_MS = 30_000

/** Reads away what is left of a body that nobody wants, up to a bound in bytes and time. */
export function drain(req: IncomingMessage): Promise<void> {
  if (req.complete || req.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    let rest = DRAIN_MAX
    const timer = setTimeout(resolve, BODY_MS)
    const done = (): void => {
      clearTimeout(timer)
      resolve()
    }
    req.on('data', (chunk: Buffer) => {
      rest -= chunk.length
      if (rest < 0) done()
    })
    req.once('end', done)
    req.once('close', done)
    req.once('error', done)
    req.resume()
  })
}

/** The bytes of the body. @throws ApiError payload_too_large, after the rest was read away; bad_request */
export async function readBytes(req: IncomingMessage, max: number): Promise<Buffer> {
  // The whole request has come and brought no body, as most do.
  if (req.complete && req.readableLength === 0) return Buffer.alloc(0)
  const declared = Number(req.headers['content-length'] ?? 0)
  const chunks: Buffer[] = []
  let size = 0
  const whole =
    declared <= max &&
    (await new Promise<boolean>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new ApiError('bad_request', 'The body did not come in time.')),
        BODY_MS,
      )
      let isOver = false
      const end = (act: () => void) => (): void => {
        // A request closes after its end, too: making an error for that costs more than the rest of this.
        if (isOver) return
        isOver = true
        clearTimeout(timer)
        req.off('data', take)
        act()
      }
      const take = (chunk: Buffer): void => {
        size += chunk.length
        if (size > max) end(() => resolve(false))()
        else chunks.push(chunk)
      }
      req.on('data', take)
      req.once(
        'end',
        end(() => resolve(true)),
      )
      req.once(
        'error',
        end(() => reject(new ApiError('bad_request', 'The body was cut off.'))),
      )
      req.once(
        'close',
        end(() => reject(new ApiError('bad_request', 'The body was cut off.'))),
      )
    }))
  if (whole) return Buffer.concat(chunks)
  await drain(req)
  throw new ApiError('payload_too_large')
}

function isJson(contentType: string | undefined): boolean {
  const [type, ...parameters] = (contentType ?? '').toLowerCase().split(';')
  if (type?.trim() !== 'application/json') return false
  return parameters.every((each) => /^\s*charset\s*=\s*"?utf-8"?\s*$/.test(each))
}

/** The body as JSON; undefined when there is none. @throws ApiError unsupported_media_type, bad_request, payload_too_large */
export async function readJson(req: IncomingMessage, max: number): Promise<unknown> {
  const bytes = await readBytes(req, max)
  if (bytes.length === 0) return undefined
  if (!isJson(req.headers['content-type'])) throw new ApiError('unsupported_media_type')
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown
  } catch (err) {
    throw new ApiError('bad_request', 'The body is not JSON.', { cause: err })
  }
}
