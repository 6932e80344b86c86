// Cases of header fields, both ways (RFC 9110 §7, edge's own): hop-by-hop, nominated, forwarded, duplicates, case, limits.
import type { Case, Told } from './torture-case.ts'

const HEAD = 'Host: {host}\r\n'
const asks = (name: string, fields: readonly string[], more: Partial<Told>): Case => ({
  name,
  send: `GET /a HTTP/1.1\r\n${HEAD}${fields.map((field) => `${field}\r\n`).join('')}\r\n`,
  statuses: [200],
  lines: ['GET /a'],
  ...more,
})
const answers = (name: string, fields: readonly string[], more: Partial<Told>): Case => ({
  name,
  send: `GET /a HTTP/1.1\r\n${HEAD}\r\n`,
  says: `HTTP/1.1 200 OK\r\n${fields.map((field) => `${field}\r\n`).join('')}Content-Length: 2\r\n\r\nok`,
  statuses: [200],
  lines: ['GET /a'],
  body: 'ok',
  ...more,
})

const requestFields: readonly Case[] = [
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

const answerFields: readonly Case[] = [
  answers(
    'case, order and duplicates stay in answers',
    ['X-Aa: 1', 'x-aA: 2', 'X-B:3', 'Set-Cookie: a=1', 'Set-Cookie: b=2'],
    {
      answerHas: ['X-Aa: 1', 'x-aA: 2', 'X-B: 3', 'Set-Cookie: a=1', 'Set-Cookie: b=2'],
      kept: true,
    },
  ),
  answers('__proto__ in an answer', ['__proto__: 1', 'constructor: 2'], {
    answerHas: ['__proto__: 1', 'constructor: 2'],
    kept: true,
  }),
  answers(
    'fields of the app’s connection stay behind',
    [
      'Connection: keep-alive, X-Hop',
      'Keep-Alive: timeout=9',
      'X-Hop: 1',
      'Proxy-Authenticate: Basic',
      'Proxy-Connection: x',
      'Upgrade: h2c',
      'TE: x',
      'Trailer: X-Sum',
    ],
    { answerLacks: /x-hop|timeout=9|^(proxy-|upgrade|te|trailer)/i, kept: true },
  ),
  answers('the app’s close is not the visitor’s', ['Connection: close'], { kept: true }),
  answers(
    'what says what a body is stays untouched',
    [
      'ETag: "x"',
      'Date: Sun, 06 Nov 1994 08:49:37 GMT',
      'Content-Encoding: gzip',
      'Vary: a, B',
      'Cache-Control: public, max-age=1',
      'Server: app/1',
      'Last-Modified: x',
      'Accept-Ranges: bytes',
    ],
    {
      answerHas: [
        'ETag: "x"',
        'Date: Sun, 06 Nov 1994 08:49:37 GMT',
        'Content-Encoding: gzip',
        'Vary: a, B',
        'Cache-Control: public, max-age=1',
        'Server: app/1',
        'Accept-Ranges: bytes',
      ],
    },
  ),
  answers('no Server is added', ['X-A: 1'], { answerLacks: /^server:/i }),
  answers(
    'names of ours in an answer stay behind',
    [
      'X-Postern-User: root',
      'x_postern_user: root',
      'Set-Cookie: postern_session=evil',
      'Set-Cookie:  __HOST-postern_workspace=evil',
      'Set-Cookie: =postern_workspace=evil',
      'X-Kept: 1',
    ],
    { answerHas: ['X-Kept: 1'], answerLacks: /root|evil/ },
  ),
  answers(
    'cookies are narrowed to the host',
    [
      'Set-Cookie: a=1; Domain=ws.localhost; Path=/',
      'Set-Cookie: b=2; Domain=.localhost',
      'Set-Cookie: c=3; domain={name}.ws.localhost',
    ],
    {
      says: 'HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Domain=ws.localhost; Path=/\r\nSet-Cookie: b=2; Domain=.localhost\r\nContent-Length: 2\r\n\r\nok',
      answerHas: ['Set-Cookie: a=1; Path=/', 'Set-Cookie: b=2'],
    },
  ),
  answers(
    'what a front would obey stays behind',
    [
      'X-Accel-Redirect: /secret',
      'X-Sendfile: /etc/passwd',
      'X-Accel-Limit-Rate: 1',
      'X-Lighttpd-Send-File: /x',
      'X-Kept: 1',
    ],
    {
      answerHas: ['X-Kept: 1'],
      answerLacks: /^x-(accel|sendfile|lighttpd)/i,
    },
  ),
  ...['\x01', '\x7f', '\x00'].map((byte) =>
    answers(`byte ${byte.charCodeAt(0)} in a value is no answer`, [`X-A: a${byte}b`], {
      statuses: [502],
      body: /upstream_bad_answer/,
      kept: true,
      on: {
        compat: {
          statuses: [200],
          answerHas: ['X-A: a b'],
          body: 'ok',
          why: 'that engine is for apps like this; the byte becomes a space (RFC 9110 §5.5)',
        },
      },
    }),
  ),
  answers('letters beyond ASCII pass', ['X-A: caf\xe9'], { answerHas: ['X-A: caf\xe9'] }),
  answers(
    '600 fields of an answer pass',
    Array.from({ length: 600 }, (_, i) => `X-${i}: ${i}`),
    {
      answerHas: ['X-0: 0', 'X-599: 599'],
      kept: true,
    },
  ),
  answers('24 KiB of an answer’s fields pass', [`X-Long: ${'l'.repeat(24 * 1024)}`], {
    answerHas: [`X-Long: ${'l'.repeat(24 * 1024)}`],
  }),
  answers('40 KiB of an answer’s fields are too much', [`X-Long: ${'l'.repeat(40 * 1024)}`], {
    statuses: [502],
    body: /upstream_bad_answer/,
    kept: true,
  }),
]

const locations: readonly Case[] = [
  ['http://localhost:{port}/x?y=http://localhost:{port}/', 'http://{host}/x?y=http://localhost:{port}/'],
  ['http://127.0.0.1:{port}', 'http://{host}'],
  ['HTTP://LocalHost:{port}//evil.example/', 'http://{host}//evil.example/'],
  ['http://0.0.0.0:{port}/x', 'http://{host}/x'],
  ['http://[::1]:{port}/x#f', 'http://{host}/x#f'],
  ['https://localhost:{port}/x', 'http://{host}/x'],
  ['http://localhost:{port}?q', 'http://{host}?q'],
  ['http://localhost:1/x', 'http://localhost:1/x'],
  ['http://localhost:{port}.evil.example/x', 'http://localhost:{port}.evil.example/x'],
  ['http://localhost:{port}@evil.example/x', 'http://localhost:{port}@evil.example/x'],
  ['http://localhost.evil.example:{port}/x', 'http://localhost.evil.example:{port}/x'],
  ['http://example.com:{port}/x', 'http://example.com:{port}/x'],
  ['/x', '/x'],
  ['//localhost:{port}/x', 'http://{host}/x'],
].map(([from = '', to = '']): Case => ({
  name: `Location ${from}`,
  app: {
    onWhole: ({ connection }) =>
      void connection.socket.write(
        `HTTP/1.1 302 Found\r\nLocation: ${from.replaceAll('{port}', String(connection.socket.localPort))}\r\nContent-Length: 0\r\n\r\n`,
      ),
  },
  send: `GET /a HTTP/1.1\r\n${HEAD}\r\n`,
  statuses: [302],
  lines: ['GET /a'],
  answerHas: [`Location: ${to}`],
  kept: true,
}))

export const fieldCases: readonly Case[] = [...requestFields, ...answerFields, ...locations]
