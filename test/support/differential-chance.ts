/** Chance comes in; exchanges come out, usual ones and odd ones, down to single bytes. */
import fc from 'fast-check'
import type { FuzzedAnswer, FuzzedCase, FuzzedRequest } from './differential-case.ts'

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
    fc.array(fc.constantFrom('X-Sum: 7', 'Set-Cookie: t=1', 'Content-Length: 9', 'X-Odd: a\x01b\xe9'), {
      maxLength: 2,
    }),
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

/** A program that takes a WebSocket, in words that may be odd. */
const taken = (given: FuzzedAnswer): FuzzedAnswer => ({
  ...given,
  interim: [],
  line: 'HTTP/1.1 101 Switching Protocols',
  lines: ['Upgrade: websocket', ...given.lines, 'Connection: Upgrade'],
  framing: 'close',
  chunks: [],
})

/** Any exchange. */
export const anyCase: fc.Arbitrary<FuzzedCase> = fc
  .record({ request, answer, isTaken: fc.boolean() })
  .map((given) => ({
    request: given.request,
    answer: given.request.upgrade && given.isTaken ? taken(given.answer) : given.answer,
  }))
