// Cases of an answer's fields (RFC 9110 §7, edge's own): what passes, what stays behind, what is no answer; redirects.
import type { Case, Told } from './torture-case.ts'

const HEAD = 'Host: {host}\r\n'
const answers = (name: string, fields: readonly string[], more: Partial<Told>): Case => ({
  name,
  send: `GET /a HTTP/1.1\r\n${HEAD}\r\n`,
  says: `HTTP/1.1 200 OK\r\n${fields.map((field) => `${field}\r\n`).join('')}Content-Length: 2\r\n\r\nok`,
  statuses: [200],
  lines: ['GET /a'],
  body: 'ok',
  ...more,
})

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
  answers(
    'Connection takes nothing that matters from an answer',
    [
      'Connection: Set-Cookie, Content-Length, Content-Type, X-Hop',
      'Set-Cookie: a=1',
      'Content-Type: x/y',
      'X-Hop: 1',
    ],
    { answerHas: ['Set-Cookie: a=1', 'Content-Type: x/y', 'Content-Length: 2'], answerLacks: /x-hop/i },
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

export const answerFieldCases: readonly Case[] = [...answerFields, ...locations]
