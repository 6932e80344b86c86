/** Exchanges as data: a request and what a program answers to it; their bytes come out. */

/** A request as a visitor sends it, but for what signs it in. */
export interface FuzzedRequest {
  readonly method: string
  readonly target: string
  readonly version: '1.0' | '1.1'
  /** Raw lines of the head, without line ends. */
  readonly lines: readonly string[]
  readonly body: 'none' | 'length' | 'chunked'
  readonly chunks: readonly string[]
  readonly upgrade: boolean
}

/** What the program says, byte for byte. */
export interface FuzzedAnswer {
  /** Informational answers before. */
  readonly interim: readonly string[]
  readonly line: string
  readonly lines: readonly string[]
  readonly eol: '\r\n' | '\n'
  readonly framing: 'length' | 'chunked' | 'close' | 'both' | 'short' | 'cut' | 'long' | 'odd-chunks'
  readonly chunks: readonly string[]
  readonly trailers: readonly string[]
  /** Bytes of the head that are others: where (0 to 1 of it), and what there is instead. */
  readonly flips: readonly (readonly [at: number, byte: number])[]
  /** Where the bytes are cut into writes, 0 to 1. */
  readonly splits: readonly number[]
  readonly end: 'keep' | 'fin' | 'reset'
  /** Before the request's body has come. */
  readonly early: boolean
}

export interface FuzzedCase {
  readonly request: FuzzedRequest
  readonly answer: FuzzedAnswer
}

const plainRequest: FuzzedRequest = {
  method: 'GET',
  target: '/',
  version: '1.1',
  lines: [],
  body: 'none',
  chunks: [],
  upgrade: false,
}
const plainAnswer: FuzzedAnswer = {
  interim: [],
  line: 'HTTP/1.1 200 OK',
  lines: [],
  eol: '\r\n',
  framing: 'length',
  chunks: ['hi'],
  trailers: [],
  flips: [],
  splits: [],
  end: 'keep',
  early: false,
}

/** A plain exchange with something else in it. */
export const caseOf = (request: Partial<FuzzedRequest>, answer: Partial<FuzzedAnswer> = {}): FuzzedCase => ({
  request: { ...plainRequest, ...request },
  answer: { ...plainAnswer, ...answer },
})

const chunkedBytes = (chunks: readonly string[], trailers: readonly string[], isOdd = false): string =>
  chunks
    .filter((chunk) => chunk !== '')
    .map((chunk) => `${chunk.length.toString(16)}${isOdd ? ' ' : ''}\r\n${chunk}${isOdd ? '' : '\r\n'}`)
    .join('') + `0\r\n${trailers.map((line) => `${line}\r\n`).join('')}\r\n`

/** The bytes of a request. */
export function requestBytes({ request }: FuzzedCase, host: string, cookie: string, origin: string): string {
  const { method, target, version, lines, body, chunks, upgrade } = request
  const text = chunks.join('')
  const framing =
    body === 'length'
      ? [`Content-Length: ${text.length}`]
      : body === 'chunked'
        ? ['Transfer-Encoding: chunked']
        : []
  const head = [
    `${method} ${target} HTTP/${version}`,
    `Host: ${host}`,
    ...lines,
    `Cookie: ${cookie}`,
    `Origin: ${origin}`,
    ...framing,
    ...(upgrade
      ? ['Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13']
      : []),
    upgrade ? 'Connection: Upgrade' : 'Connection: close',
  ]
  const sent = body === 'length' ? text : body === 'chunked' ? chunkedBytes(chunks, ['X-Trailer: 1']) : ''
  return `${head.join('\r\n')}\r\n\r\n${sent}${upgrade ? 'early' : ''}`
}

/** True when the connection may stay open after the answer: nothing about its length is in doubt. */
export function staysOpen({ answer, request }: FuzzedCase): boolean {
  const { end, framing, flips, eol, line, lines, trailers } = answer
  return (
    end === 'keep' &&
    !request.upgrade &&
    (framing === 'length' || framing === 'chunked') &&
    flips.length === 0 &&
    eol === '\r\n' &&
    /^HTTP\/1\.1 [2-5]\d\d( |$)/.test(line) &&
    [...lines, ...trailers].every((one) => /^(?!content-length|transfer-encoding)[\w-]+:[ -~]*$/i.test(one))
  )
}

/** The heads of an answer, informational ones included. */
export function headBytes({ answer }: FuzzedCase): Buffer {
  const { interim, line, lines, eol, framing, chunks } = answer
  const { length } = chunks.join('')
  const said = framing === 'short' ? length + 5 : framing === 'long' ? Math.max(0, length - 1) : length
  const head = [line, ...lines]
  if (['length', 'both', 'short', 'long'].includes(framing)) head.push(`Content-Length: ${said}`)
  if (isChunked(framing)) head.push('Transfer-Encoding: chunked')
  const informational = interim.map((one) => `${one}\r\n\r\n`).join('')
  const bytes = Buffer.from(informational + head.join(eol) + eol + eol, 'latin1')
  for (const [at, byte] of answer.flips) bytes[Math.floor(at * (bytes.length - 1))] = byte
  return bytes
}

const isChunked = (framing: FuzzedAnswer['framing']): boolean =>
  ['chunked', 'both', 'cut', 'odd-chunks'].includes(framing)

/** The writes of an answer. */
export function answerWrites(given: FuzzedCase): Buffer[] {
  const { framing, chunks, trailers, splits } = given.answer
  let body = isChunked(framing) ? chunkedBytes(chunks, trailers, framing === 'odd-chunks') : chunks.join('')
  if (framing === 'cut') body = body.slice(0, Math.max(0, body.length - 5 - trailers.join('').length))
  const all = Buffer.concat([headBytes(given), Buffer.from(body, 'latin1')])
  const cuts = [...new Set(splits.map((at) => Math.floor(at * all.length)))].sort((a, b) => a - b)
  const writes: Buffer[] = []
  let from = 0
  for (const to of [...cuts, all.length]) {
    if (to > from) writes.push(all.subarray(from, to))
    from = to
  }
  return writes
}
