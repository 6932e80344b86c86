/** Chance comes in; exchanges come out, each a request and what a program answers to it, down to odd bytes. */
import fc from 'fast-check'

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

const anyByte = fc.integer({ min: 0, max: 255 })
const latin1 = (max: number) =>
  fc.array(anyByte, { maxLength: max }).map((bytes) => String.fromCharCode(...bytes))
const visible = (max: number) =>
  fc
    .array(fc.integer({ min: 0x21, max: 0x7e }), { minLength: 1, maxLength: max })
    .map((bytes) => String.fromCharCode(...bytes))
const seldom = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>, weight = 12): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: odd })

const target = fc
  .array(
    seldom(
      fc.constantFrom(
        '/',
        '//',
        'a',
        '.',
        '..',
        '%2f',
        '%00',
        ';',
        '?',
        '?x=//y',
        ':',
        'http:/',
        '@',
        '&',
        '=',
        '~',
      ),
      visible(4),
    ),
    { maxLength: 8 },
  )
  .map((parts) => `/${parts.join('')}`)

const requestLine = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.constantFrom(
      'X-A: 1',
      'x-a: 2',
      'X-A: 3',
      'Accept: text/html',
      'Accept: */*',
      'TE: trailers',
      'TE: gzip;q=0.5, trailers',
      'Trailer: X-Trailer',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Connection: X-A',
      'Connection: keep-alive, X-B, Host, Cookie',
      'X-B: nominated',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAAQAAP__',
      'Expect: 100-continue',
      'Range: bytes=0-1',
      'If-None-Match: "x"',
      'Authorization: Basic YTpi',
      'X-Forwarded-For: 6.6.6.6',
      'X_Forwarded_Host: evil',
      'Forwarded: for=6.6.6.6',
      'Via: 1.1 other',
      'Content-Type: text/plain',
      'Cookie: a=1; b=2',
      'User-Agent: fuzz',
      '__proto__: x',
      'constructor: y',
      'Date: now',
      'X-Empty:',
      'X-Blanks: \t a  b \t',
    ),
  },
  { weight: 4, arbitrary: fc.tuple(visible(6), latin1(12)).map(([name, value]) => `X-${name}: ${value}`) },
  // An empty one would end the head, and with it who asks.
  { weight: 1, arbitrary: latin1(20).filter((one) => !/^$|^\r|\n\r?\n/.test(one)) },
)

const answerLine = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.constantFrom(
      'X-A: 1',
      'x-a: 2',
      'Set-Cookie: a=1; Path=/',
      'Set-Cookie: b=2; Domain=ws.localhost',
      'Set-Cookie: postern_session=evil',
      'Content-Type: text/event-stream',
      'Content-Type: text/plain',
      'Connection: keep-alive',
      'Connection: close',
      'Connection: X-A, close',
      'Keep-Alive: timeout=5',
      'Location: /x',
      'Location: http://elsewhere.example/x',
      'Location: http://localhost:1/x',
      'Trailer: X-Sum',
      'Upgrade: h2c',
      'Proxy-Authenticate: Basic',
      'X-Postern-User: root',
      'Date: Sun, 06 Nov 1994 08:49:37 GMT',
      'Server: app',
      'ETag: "x"',
      'Vary: a, B',
      'Access-Control-Allow-Origin: *',
      'Content-Encoding: gzip',
      'X-Empty:',
      '__proto__: x',
      'X-Blanks: \t a  b \t',
    ),
  },
  { weight: 3, arbitrary: fc.tuple(visible(6), latin1(12)).map(([name, value]) => `X-${name}: ${value}`) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'X-Fold: one\r\n two',
      'X-Control: a\x01b',
      'X-Nul: a\x00b',
      'X Name: 1',
      'X-Space : 1',
      'Content-Length: 2',
      'Content-Length: +2',
      'Content-Length: 2, 2',
      'Transfer-Encoding: gzip',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding: identity',
      'no colon',
      ' folded at once',
    ),
  },
  { weight: 1, arbitrary: latin1(20) },
)

const statusLine = seldom(
  fc.constantFrom(
    'HTTP/1.1 200 OK',
    'HTTP/1.1 200 OK',
    'HTTP/1.1 201',
    'HTTP/1.0 200 OK',
    'HTTP/1.1 204 No Content',
    'HTTP/1.1 205 Reset',
    'HTTP/1.1 304 Not Modified',
    'HTTP/1.1 301 Moved',
    'HTTP/1.1 404 Not  Found',
    'HTTP/1.1 413 Too Large',
    'HTTP/1.1 500 Oh \xe9',
    'HTTP/1.1 599 Odd',
  ),
  fc.constantFrom(
    'HTTP/1.1 101 Switching Protocols',
    'HTTP/1.1 99 Low',
    'HTTP/1.1 999 High',
    'HTTP/1.1 1000 More',
    'HTTP/2.0 200 OK',
    'HTTP/0.9 200 OK',
    'http/1.1 200 OK',
    'ICE 200 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 200 O\x01K',
    '',
  ),
)

const chunk = seldom(visible(30), latin1(60), 4)
const unit = fc.double({ min: 0, max: 1, noNaN: true })

const request: fc.Arbitrary<FuzzedRequest> = fc
  .record({
    method: seldom(
      fc.constantFrom('GET', 'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'),
      fc.constantFrom('TRACE', 'PROPFIND', 'MKCOL', 'QUERY', 'PURGE', 'get'),
    ),
    target,
    version: seldom(fc.constant('1.1' as const), fc.constant('1.0' as const)),
    lines: fc.array(requestLine, { maxLength: 5 }),
    body: fc.constantFrom('none', 'none', 'length', 'chunked'),
    chunks: fc.array(chunk, { maxLength: 3 }),
    upgrade: seldom(fc.constant(false), fc.constant(true), 7),
  })
  .map((given) =>
    given.upgrade ? { ...given, method: 'GET', version: '1.1', body: 'none', chunks: [] } : given,
  )

const answer: fc.Arbitrary<FuzzedAnswer> = fc.record({
  interim: seldom<readonly string[]>(
    fc.constant([]),
    fc.array(
      fc.constantFrom(
        'HTTP/1.1 100 Continue',
        'HTTP/1.1 102 Processing',
        'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload',
        'HTTP/1.1 103 Early Hints\r\nLink: nonsense',
      ),
      { minLength: 1, maxLength: 2 },
    ),
  ),
  line: statusLine,
  lines: fc.array(answerLine, { maxLength: 5 }),
  eol: seldom(fc.constant('\r\n' as const), fc.constant('\n' as const), 20),
  framing: seldom(
    fc.constantFrom('length', 'chunked', 'close'),
    fc.constantFrom('both', 'short', 'cut', 'long', 'odd-chunks'),
    5,
  ),
  chunks: fc.array(chunk, { maxLength: 3 }),
  trailers: seldom<readonly string[]>(
    fc.constant([]),
    fc.array(fc.constantFrom('X-Sum: 7', 'Set-Cookie: t=1', 'Content-Length: 9'), { maxLength: 2 }),
    5,
  ),
  flips: seldom<FuzzedAnswer['flips']>(
    fc.constant([]),
    fc.array(fc.tuple(unit, anyByte), { minLength: 1, maxLength: 2 }),
    8,
  ),
  splits: fc.oneof(fc.constant([]), fc.array(unit, { maxLength: 4 })),
  end: seldom(fc.constantFrom('keep' as const, 'fin' as const), fc.constant('reset' as const)),
  early: seldom(fc.constant(false), fc.constant(true)),
})

/** Any exchange. */
export const anyCase: fc.Arbitrary<FuzzedCase> = fc.record({ request, answer })
