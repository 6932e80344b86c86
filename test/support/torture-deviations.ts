// What the fronts do differently from the edge itself, case by case with the reason: another outcome, or none to be seen.
import type { Cannot, Deviation, Expectation, FrontName } from './torture-case.ts'

type Deviations = Readonly<Record<string, Deviation | Cannot>>

/** The front takes what the edge refuses, and sends on what is no longer in doubt. */
const takes = (line: string, why: string, more: Expectation = {}): Deviation => ({
  refusal: false,
  statuses: [200],
  lines: [line],
  ...more,
  why,
})
/** The front answers itself; nothing comes further. */
const answers = (status: number, why: string, kept = false): Deviation => ({
  refusal: false,
  statuses: [status],
  lines: [],
  requestHas: [],
  answerHas: [],
  kept,
  why,
})
const cannot = (why: string): Cannot => ({ cannot: why })

const SERVER = cannot('the front says who it is')
const ONE_ONE = cannot('the front speaks HTTP/1.1 to Postern, whatever its visitor speaks')
const FRONTS_CONTINUE = 'the front says 100 by itself'
const NO_HALF_CLOSE = cannot('the front ends both directions of an upgraded connection together')
const NO_TRAILERS = cannot('the front drops TE and trailers')
const ADDS_UPGRADE = cannot(
  'the file has the front send Connection: upgrade with every Upgrade field, by HTTP/1.1',
)
const HINTS_STAY = 'before 1.29, nginx takes a 103 for the answer: a front gets no hints'

const hints: Deviations = {
  'hints pass': { statuses: [200], why: HINTS_STAY },
  'hints pass twice': { statuses: [200], why: HINTS_STAY },
}

const NGINX_NAMES = cannot('nginx drops names with other characters than letters, digits and hyphens')
const nginx: Deviations = {
  ...hints,
  'a lone line feed in the head': takes('GET /a', 'nginx ends lines by it (RFC 9112 §2.2)', {
    requestHas: ['X-A: 1', 'X-B: 2'],
  }),
  'a field without a colon': takes('GET /a', 'nginx takes it for an empty field', { requestHas: ['X-A: '] }),
  'target /%2e%2e/%2E%2e/x': answers(400, 'nginx refuses a path that leaves its root'),
  'target /%00': answers(400, 'nginx refuses it'),
  'target /%zz%': answers(400, 'nginx decodes paths to choose a location'),
  'absolute form of another host': takes(
    'GET /',
    'nginx takes the server for its default; Host, which it sends on, is what counts',
  ),
  'another scheme': takes('GET /', 'nginx doesn’t look at the scheme'),
  'OPTIONS * is answered by the edge itself': answers(400, 'nginx refuses it'),
  'HTTP/1.2': takes('GET /a', 'nginx takes every 1.x'),
  'chunks in pieces, coding in capitals': {
    requestFraming: 'any',
    why: 'nginx sends a length where it has the whole body before a connection to Postern',
  },
  'TRACE passes': answers(405, 'nginx refuses it'),
  'an empty field, and one of odd characters': NGINX_NAMES,
  '__proto__ and its like are names': NGINX_NAMES,
  'Connection takes away what it names': cannot(
    'nginx keeps Connection to itself, and what it names goes on',
  ),
  'Via of an HTTP/1.0 visitor': ONE_ONE,
  'what says what a body is stays untouched': {
    answerHas: [
      'ETag: "x"',
      'Content-Encoding: gzip',
      'Vary: a, B',
      'Cache-Control: public, max-age=1',
      'Accept-Ranges: bytes',
    ],
    why: 'nginx writes its own Date and Server',
  },
  'no Server is added': SERVER,
  'who may not send is told before the body': {
    refusal: false,
    statuses: [100, 401],
    lines: [],
    why: FRONTS_CONTINUE,
  },
  'another expectation': takes('POST /a', 'nginx drops Expect', { requestLacks: /^expect/i }),
  'trailers pass to who takes them': NO_TRAILERS,
  'trailers that may not be any stay behind': NO_TRAILERS,
  'half-close: the visitor says its last, the app much more': NO_HALF_CLOSE,
  'half-close: the app says its last, the visitor more': NO_HALF_CLOSE,
  'plain: a WebSocket of HTTP/1.0': ADDS_UPGRADE,
  'plain: Upgrade without Connection': ADDS_UPGRADE,
}

const NO_SITE = 'Caddy answers for a host that it has no site for with an empty 200'
const READS_ON = cannot('Caddy holds an answer back until it has read what the visitor announced')
const ENDS_HALF = cannot('Caddy 2.6 ends half an answer in chunks as a whole one')
const caddy: Deviations = {
  ...hints,
  'length and chunked': takes('POST /a', 'Go drops the length (RFC 9112 §6.3)', { requestBody: '' }),
  'chunked and length': takes('POST /a', 'Go drops the length (RFC 9112 §6.3)', { requestBody: '' }),
  'the same length twice': takes('POST /a', 'Go takes them for one (RFC 9110 §8.6)', { requestBody: 'ab' }),
  'an empty length': takes('POST /a', 'Go takes it for none: what follows is another request', {
    requestBody: '',
  }),
  'chunked on HTTP/1.0': takes('POST /a', 'Go ignores the coding', { requestBody: '' }),
  'a folded field': takes('GET /a', 'Go unfolds it (RFC 9112 §5.2)', { requestHas: ['X-A: 1 2'] }),
  'a lone line feed in the head': takes('GET /a', 'Go ends lines by it', {
    requestHas: ['X-A: 1', 'X-B: 2'],
  }),
  'an empty field name': takes('GET /a', 'Go drops it', { requestLacks: /^:/ }),
  'line ends before the request line': answers(400, 'Go wants none'),
  'target /%zz%': answers(400, 'Go decodes paths'),
  'target /a|b^c`d{e}"f<g>': {
    lines: ['GET /a%7Cb%5Ec%60d%7Be%7D%22f%3Cg%3E'],
    why: 'Go encodes what a URL may not have',
  },
  'bytes beyond ASCII in the target': takes('GET /%E4%F6', 'Go encodes them'),
  'a fragment': takes('GET /private%23/public', 'Go encodes it: a part of the path'),
  'a backslash': takes('GET /a%5Cb', 'Go encodes it'),
  'absolute form of another host': answers(200, NO_SITE, true),
  'absolute form with a user': takes('GET /', 'Go drops the user'),
  'another scheme': takes('GET /', 'Go doesn’t look at the scheme'),
  'HTTP/1.2': takes('GET /a', 'Go takes every 1.x'),
  'OPTIONS * is answered by the edge itself': answers(200, 'Go answers it', true),
  'an empty Host': answers(200, NO_SITE, true),
  'a foreign Host': answers(200, NO_SITE, true),
  'a longer host': answers(200, NO_SITE, true),
  'one label more': answers(200, NO_SITE, true),
  'a label that ends in the base': answers(200, NO_SITE, true),
  'two dots at the end': answers(200, NO_SITE, true),
  'an address of IPv6': answers(200, NO_SITE, true),
  'denied: a foreign host': answers(200, NO_SITE, true),
  'a dot after the host': answers(200, NO_SITE, true),
  'denied: a fragment': cannot('Go encodes it: a part of the path'),
  'Connection takes nothing that matters away': cannot(
    'Caddy takes away what Connection names, a Cookie too',
  ),
  'Via of an HTTP/1.0 visitor': ONE_ONE,
  '64 KiB of fields are too much': takes('GET /a', 'Caddy drops an X-Forwarded-For that it doesn’t believe'),
  'what says what a body is stays untouched': {
    answerHas: [
      'ETag: "x"',
      'Date: Sun, 06 Nov 1994 08:49:37 GMT',
      'Content-Encoding: gzip',
      'Vary: a, B',
      'Server: app/1',
    ],
    why: 'Caddy adds a Server of its own',
  },
  'no Server is added': SERVER,
  'who may not send is told before the body': {
    refusal: false,
    statuses: [100, 401],
    lines: [],
    why: FRONTS_CONTINUE,
  },
  'Expect of HTTP/1.0 is nothing': { statuses: [100, 200], why: 'Go says 100 to HTTP/1.0 too' },
  'Expect is answered by the edge, once the app is to have the body': {
    statuses: [100, 100, 200],
    why: 'Go says 100 itself, and passes ours on',
  },
  'trailers pass to who takes them': cannot('Caddy takes away what Connection names, TE too'),
  'trailers are not for HTTP/1.0': ONE_ONE,
  'what is said early arrives first, both ways, byte for byte': cannot(
    'Caddy 2.6 loses what a visitor says before the 101',
  ),
  'half-close: the visitor says its last, the app much more': NO_HALF_CLOSE,
  'half-close: the app says its last, the visitor more': NO_HALF_CLOSE,
  'a head leaves before its body': cannot(
    'Caddy holds the head of a known length until bytes of its body come',
  ),
  'an app that leaves while it is sent to (end)': READS_ON,
  'an app that leaves while it is sent to (resetAndDestroy)': READS_ON,
  'an answer before the end of the question, 1000 bytes of which are sent': READS_ON,
  'an answer before the end of the question, 3000000 bytes of which are sent': READS_ON,
  'a chunk size in an answer that is none': ENDS_HALF,
  'a body that ends with the connection is not whole when that is reset': ENDS_HALF,
  ...Object.fromEntries(
    ['chunks', 'chunks on a connection that ends', 'within a chunk', 'before the end of trailers'].flatMap(
      (what) => [
        [`cut: ${what}, fin`, ENDS_HALF],
        [`cut: ${what}, reset`, ENDS_HALF],
      ],
    ),
  ),
  'plain: a WebSocket of HTTP/1.0': ADDS_UPGRADE,
}

const haproxy: Deviations = {
  ...hints,
  'length and chunked': takes('POST /a', 'HAProxy drops the length (RFC 9112 §6.3)', { requestBody: '' }),
  'chunked and length': takes('POST /a', 'HAProxy drops the length (RFC 9112 §6.3)', { requestBody: '' }),
  'the same length twice': takes('POST /a', 'HAProxy takes them for one (RFC 9110 §8.6)', {
    requestBody: 'ab',
  }),
  'a list of lengths': takes('POST /a', 'HAProxy takes equal ones for one (RFC 9110 §8.6)', {
    requestBody: 'ab',
  }),
  'a folded field': takes('GET /a', 'HAProxy unfolds it (RFC 9112 §5.2)'),
  'a lone line feed in the head': takes('GET /a', 'HAProxy ends lines by it', {
    requestHas: ['X-A: 1', 'X-B: 2'],
  }),
  'absolute form without a path': answers(400, 'HAProxy refuses it'),
  'absolute form in capitals, without port': answers(400, 'HAProxy compares Host with its port'),
  'HTTP/1.2': takes('GET /a', 'HAProxy takes every 1.x'),
  'HTTP/2.0 on a request line': takes('GET /a', 'HAProxy doesn’t look at the version'),
  'the same Host twice': takes('GET /a', 'HAProxy takes them for one'),
  'trailers pass to who takes them': {
    trailers: ['x-sum: 7', 'grpc-status: 0'],
    why: 'HAProxy writes names in lower case',
  },
  'trailers that may not be any stay behind': {
    trailers: ['x-sum: 7'],
    why: 'HAProxy writes names in lower case',
  },
  'half-close: the app says its last, the visitor more': NO_HALF_CLOSE,
  'who may not send is told before the body': {
    refusal: false,
    statuses: [401],
    lines: [],
    kept: undefined,
    why: 'HAProxy waits for the body all the same',
  },
}

/** By front, by the name of the case. */
export const deviations: Readonly<Record<FrontName, Deviations>> = { bare: {}, nginx, caddy, haproxy }
