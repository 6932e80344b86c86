// Cases of a request's fields (RFC 9110 §7, edge's own): hop-by-hop, nominated, forwarded, duplicates, case, limits.
import type { Case, Told } from './torture-case.ts'

const HEAD = 'Host: {host}\r\n'
const asks = (name: string, fields: readonly string[], more: Partial<Told>): Case => ({
  name,
  send: `GET /a HTTP/1.1\r\n${HEAD}${fields.map((field) => `${field}\r\n`).join('')}\r\n`,
  statuses: [200],
  lines: ['GET /a'],
  ...more,
})
export const fieldCases: readonly Case[] = [
  asks('case, order and duplicates stay', ['X-Aa: 1', 'x-aA: 2', 'X-B:3', 'X-AA:  4 \t'], {
    requestHas: ['X-Aa: 1', 'x-aA: 2', 'X-B: 3', 'X-AA: 4'],
    kept: true,
  }),
  asks('an empty field, and one of odd characters', ['X-Empty:', "!#$%&'*+.^`|~-: odd", 'X-Latin: caf\xe9'], {
    requestHas: ['X-Empty: ', "!#$%&'*+.^`|~-: odd", 'X-Latin: caf\xe9'],
  }),
  asks(
    '__proto__ and its like are names',
    ['__proto__: 1', 'constructor: 2', 'toString: 3', 'hasOwnProperty: 4'],
    {
      requestHas: ['__proto__: 1', 'constructor: 2', 'toString: 3', 'hasOwnProperty: 4'],
      kept: true,
    },
  ),
  asks(
    'fields of the connection stay behind',
    [
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic eDp5',
      'Proxy-Authenticate: Basic',
      'TE: gzip;q=0.5, deflate',
      'Upgrade: foo',
      'HTTP2-Settings: AAMAAABkAAQAAP__',
      'Trailer: X-Sum',
    ],
    { requestLacks: /^(keep-alive|proxy-|te|upgrade|http2|trailer)/i, kept: true },
  ),
  asks('TE keeps only trailers', ['TE: gzip, trailers;q=1', 'Connection: TE'], {
    requestLacks: /^te: (?!trailers$)/i,
  }),
  asks(
    'Connection takes away what it names',
    ['Connection: X-Hop, x-other ,,', 'X-HOP: 1', 'X-Other: 2', 'X-Kept: 3', 'Connection: keep-alive'],
    {
      requestHas: ['X-Kept: 3'],
      requestLacks: /^x-(hop|other)/i,
      kept: true,
    },
  ),
  asks(
    'Connection takes nothing that matters away',
    [
      'Connection: close, Host, Cookie, Authorization, Content-Type, Origin, Sec-Fetch-Site, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Postern-User, Via, Content-Length',
      'Authorization: Basic eDp5',
      'Cookie: a=1',
      'Content-Type: x/y',
    ],
    {
      requestHas: [
        'Host: {host}',
        'Cookie: a=1',
        'Authorization: Basic eDp5',
        'Content-Type: x/y',
        'X-Forwarded-Host: {host}',
        'X-Forwarded-Proto: http',
        'X-Postern-User: ',
      ],
      kept: false,
    },
  ),
  asks(
    'forged identity and forwarding, under every alias, stays behind',
    [
      'X-Postern-User: root',
      'x_postern_user: root',
      'X.Postern.User: root',
      'X-POSTERN-Groups: root',
      'X-Forwarded-User: root',
      'X_Forwarded_User: root',
      'X-Forwarded-Prefix: /root',
      'Remote-User: root',
      'remote_user: root',
      'X-Auth-Request-User: root',
      'X-Original-URL: /root',
      'X-Real-IP: 6.6.6.6',
      'True-Client-IP: 6.6.6.6',
      'CF-Connecting-IP: 6.6.6.6',
      'Forwarded: for=6.6.6.6',
      'X_Forwarded_For: 6.6.6.6',
    ],
    {
      requestLacks: /root|6\.6\.6\.6/,
      requestHas: ['X-Postern-User: ', 'X-Postern-Email: ', 'X-Postern-Groups: '],
      kept: true,
    },
  ),
  asks(
    'aliases of framing and host stay behind',
    ['Content_Length: 50', 'Transfer_Encoding: chunked', 'transfer.encoding: chunked'],
    {
      requestLacks: /content_|transfer[_.-]/i,
      kept: true,
    },
  ),
  asks('who the visitor is, where it signed in', ['Cookie: x=1; {cookie}; y="2"'], {
    requestHas: ['Cookie: x=1; y="2"', 'X-Postern-User: alice', 'X-Postern-Email: alice@example.com'],
    requestLacks: /postern_/,
  }),
  asks(
    'where the visitor is, not where it says',
    [
      'X-Forwarded-For: 6.6.6.6',
      'X-Forwarded-Proto: gopher',
      'X-Forwarded-Host: evil',
      'X-Forwarded-Port: 1',
    ],
    {
      requestHas: [
        'X-Forwarded-Proto: http',
        'X-Forwarded-Host: {host}',
        'X-Forwarded-Port: 8090',
        'Via: 1.1 postern',
      ],
      requestLacks: /6\.6\.6\.6|gopher|evil|^x-forwarded-port: 1$/i,
    },
  ),
  asks('the port of a Host without one', [], {
    send: 'GET /a HTTP/1.1\r\nHost: {name}.ws.localhost\r\n\r\n',
    requestHas: ['X-Forwarded-Port: 80'],
  }),
  asks('Via is added to, not replaced', ['Via: 1.0 fred, 1.1 example.com (Apache/1.1)'], {
    requestHas: ['Via: 1.0 fred, 1.1 example.com (Apache/1.1)', 'Via: 1.1 postern'],
  }),
  asks('Via of an HTTP/1.0 visitor', [], {
    send: 'GET /a HTTP/1.0\r\nHost: {host}\r\n\r\n',
    requestHas: ['Via: 1.0 postern'],
    kept: false,
  }),
  asks('a loop is broken', ['Via: 1.1 postern, 1.1 postern', 'Via: 1.1 postern', 'via: 1.1 POSTERN (x)'], {
    statuses: [508],
    lines: [],
  }),
  asks('three times through is no loop yet', ['Via: 1.1 postern, 1.1 postern, 1.1 postern'], {}),
  asks(
    '500 fields pass',
    Array.from({ length: 500 }, (_, i) => `X-${i}: ${i}`),
    {
      requestHas: ['X-0: 0', 'X-250: 250', 'X-499: 499'],
      kept: true,
    },
  ),
  asks(
    '1000 fields are too many',
    Array.from({ length: 1000 }, (_, i) => `X-${i}: ${i}`),
    {
      refusal: true,
      statuses: [431],
      lines: [],
    },
  ),
  asks('24 KiB of fields pass', [`X-Long: ${'l'.repeat(24 * 1024)}`], {
    requestHas: [`X-Long: ${'l'.repeat(24 * 1024)}`],
  }),
  asks('64 KiB of fields are too much', [`X-Forwarded-For: ${'1.2.3.4, '.repeat(8000)}`], {
    refusal: true,
    statuses: [431],
    lines: [],
  }),
  asks(
    'Range and conditions pass',
    [
      'Range: bytes=0-1,4-',
      'If-Range: "a"',
      'If-None-Match: W/"b"',
      'If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT',
    ],
    {
      requestHas: ['Range: bytes=0-1,4-', 'If-Range: "a"', 'If-None-Match: W/"b"'],
      says: 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/5\r\nETag: "a"\r\nContent-Length: 2\r\n\r\nok',
      statuses: [206],
      answerHas: ['Content-Range: bytes 0-1/5', 'ETag: "a"'],
      body: 'ok',
    },
  ),
]
