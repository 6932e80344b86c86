// Pure. An answer's fields come in as a lenient parser let them through; fields that may be written come out, or null.

/** A head that may be written. */
export interface LenientHead {
  /** Flat; framed at most once. */
  readonly raw: string[]
  /** False when a strict parser would have refused it: then it isn't sure where the next answer begins. */
  readonly isPlain: boolean
  /** The head announces a body. */
  readonly hasBody: boolean
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// Not `trim`, which takes bytes above 127 for blanks too.
const BLANKS = /^[ \t]+|[ \t]+$/g
const UNWRITABLE = /[^\t\x20-\x7e\x80-\xff]+/g

/** True for the statuses whose answers have no body, whatever their head says (RFC 9110 §6.4.1). */
export const bodiless = (status: number): boolean => status === 204 || status === 304

/**
 * The fields of an answer, made fit: control bytes and folds are spaces (RFC 9110 §5.5), a length beside a coding is
 * dropped (RFC 9112 §6.3), lengths that are alike are one. Null for what can't be mended: a name that is no token,
 * lengths that differ, a coding other than chunked.
 */
export function lenientHead(rawHeaders: readonly string[]): LenientHead | null {
  const raw: string[] = []
  let isPlain = true
  let length: string | null = null
  let coding: string | null = null
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    const given = rawHeaders[i + 1] as string
    if (!TOKEN.test(name)) return null
    const value = given.replace(UNWRITABLE, ' ').replace(BLANKS, '')
    if (value !== given) isPlain = false
    const lower = name.length === 14 || name.length === 17 ? name.toLowerCase() : ''
    // What frames a body is not guessed at: the parser read it as it came.
    const framing = lower === '' ? '' : given.replace(BLANKS, '')
    if (lower === 'transfer-encoding') {
      if (coding !== null || framing.toLowerCase() !== 'chunked') return null
      coding = framing
    } else if (lower === 'content-length') {
      if (!/^[0-9]{1,15}$/.test(framing) || (length !== null && length !== framing)) return null
      if (length === null) raw.push(name, framing)
      length = framing
    } else raw.push(name, value)
  }
  if (coding !== null && length !== null) {
    raw.splice(
      raw.findIndex((name, i) => i % 2 === 0 && /^content-length$/i.test(name)),
      2,
    )
    isPlain = false
  }
  return { raw, isPlain, hasBody: coding !== null || (length !== null && length !== '0') }
}
