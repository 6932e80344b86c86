/** Requests and answers so plain that no engine is needed: what is taken, what isn't, and that Node's strict parser reads the same. */
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { plainAnswer, plainRequest } from '../../gateway/proxy/plain.ts'

t.test('requests', async (t) => {
  t.equal(
    plainRequest('/a?b=%zz', ['X-A', '1', 'hOST', 'h:1', 'Cookie', 'a=\xff']),
    'GET /a?b=%zz HTTP/1.1\r\nhost: h:1\r\nconnection: keep-alive\r\nX-A: 1\r\nCookie: a=\xff\r\n\r\n',
  )
  const refused: readonly [string, string, readonly string[]][] = [
    ['no Host', '/', ['X-A', '1']],
    ['two Hosts', '/', ['Host', 'h', 'host', 'h']],
    ['a target that is no path', 'http://h/', ['Host', 'h']],
    ['a space in the target', '/a b', ['Host', 'h']],
    ['a line end in the target', '/a\r\nX: y', ['Host', 'h']],
    ['a line end in a value', '/', ['Host', 'h', 'X-A', '1\r\nX-B: 2']],
    ['a line feed in a value', '/', ['Host', 'h', 'X-A', '1\n2']],
    ['a null in a value', '/', ['Host', 'h', 'X-A', '\0']],
    ['beyond latin1', '/', ['Host', 'h', 'X-A', '\u0141']],
    ['a space in a name', '/', ['Host', 'h', 'X A', '1']],
    ['an empty name', '/', ['Host', 'h', '', '1']],
    ...[
      'Content-Length',
      'transfer-encoding',
      'EXPECT',
      'Upgrade',
      'Connection',
      'Keep-Alive',
      'Trailer',
    ].map((name): [string, string, readonly string[]] => [name, '/', ['Host', 'h', name, '1']]),
  ]
  for (const [what, target, headers] of refused) t.equal(plainRequest(target, headers), null, what)
})

const read = (text: string) => plainAnswer(Buffer.from(text, 'latin1'))

t.test('answers', async (t) => {
  const answer = read('HTTP/1.1 200 Fine\r\nX-A: \t1 \t\r\ncontent-length: 2\r\nX-a:\r\n\r\nok')
  t.match(answer, { status: 200, reason: 'Fine', length: 2, keepMs: 4000 })
  t.same(answer?.raw, ['X-A', '1', 'content-length', '2', 'X-a', ''])
  t.equal('HTTP/1.1 200 Fine\r\nX-A: \t1 \t\r\ncontent-length: 2\r\nX-a:\r\n\r\n'.length, answer?.headBytes)
  t.match(read('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n'), { status: 304, length: 0 })
  const keeps = (field: string) => read(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${field}\r\n\r\n`)?.keepMs
  t.equal(keeps('Connection: close'), 0)
  t.equal(keeps('Connection: Keep-Alive'), 4000)
  t.equal(keeps('Keep-Alive: timeout=3, max=5'), 2000)
  t.equal(keeps('Keep-Alive: timeout=1'), 0, 'an app that ends it at once is not asked again')
  const refused: readonly [string, string][] = [
    ['half a head', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n'],
    ['no length', 'HTTP/1.1 200 OK\r\n\r\nok'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok'],
    ['a signed length', 'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok'],
    ['an empty length', 'HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok'],
    ['an endless length', 'HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\nok'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['chunks and a length', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok'],
    [
      'a coding that is none',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: identity\r\n\r\nok',
    ],
    ['a length of a 304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n'],
    ['a length of a 204', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n'],
    ['an informational answer', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'],
    ['an offer to upgrade', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nUpgrade: h2c\r\n\r\nok'],
    ['a name in Connection', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-A\r\n\r\nok'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['a status beyond all', 'HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['a fraction of a status', 'HTTP/1.1 2.1 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['no reason, no space', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok'],
    ['a folded field', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n 2\r\n\r\nok'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok'],
    ['a space before a name', 'HTTP/1.1 200 OK\r\n Content-Length: 2\r\n\r\nok'],
    ['a field without a colon', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A\r\n\r\nok'],
    ['a lone line feed', 'HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok'],
    ['a lone line feed in a value', 'HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 2\r\n\r\nok'],
    ['a lone carriage return', 'HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\nContent-Length: 2\r\n\r\nok'],
    ['a null', 'HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 2\r\n\r\nok'],
    ['a head of more than 16 KiB', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(16384)}\r\nContent-Length: 0\r\n\r\n`],
  ]
  for (const [what, text] of refused) t.equal(read(text), null, what)
})

/** What Node's strict client reads of the bytes of an answer; null where it refuses them. */
async function asNodeReads(bytes: Buffer): Promise<{ answer: IncomingMessage; body: Buffer } | null> {
  const stream = new Duplex({
    read: () => undefined,
    write(_chunk, _encoding, done) {
      done()
      // By then the parser listens.
      setImmediate(() => {
        this.push(bytes)
        this.push(null)
      })
    },
  })
  const call = request({ createConnection: () => stream as never, insecureHTTPParser: false })
  call.end()
  try {
    const [answer] = (await once(call, 'response')) as [IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of answer) chunks.push(chunk as Buffer)
    return { answer, body: Buffer.concat(chunks) }
  } catch {
    return null
  } finally {
    call.on('error', () => undefined)
    call.destroy()
    stream.destroy()
  }
}

const pieces = [
  'HTTP/1.1 200 OK', 'HTTP/1.1 404 \xe9', 'HTTP/1.1 304 N', 'HTTP/1.1  200', 'HTTP/1.1 200', '\r\n', '\r\n', '\r\n', '\n', '\r',
  'Content-Length: 2', 'content-length:2', 'Content-Length: 02', 'Content-Length: 0', 'Content-Length : 2', 'Transfer-Encoding: chunked',
  'Connection: close', 'Connection: keep-alive', 'Connection: upgrade', 'Keep-Alive: timeout=9', 'X-A: b', 'X-A:', ': x', ' x', '\tx: y',
  'X-\xe9: 1', 'X: \x7f', 'X: \0', 'ok', 'okok', '\r\n\r\n',
] // prettier-ignore

t.test('what is taken for plain, Node’s strict parser reads as the same', async (t) => {
  let taken = 0
  const line = fc.constantFrom(...pieces)
  const bytes = fc.oneof(
    fc.array(line, { maxLength: 14 }).map((parts) => parts.join('')),
    fc
      .tuple(fc.array(line, { maxLength: 5 }), fc.constantFrom('Content-Length: 2', 'content-length:\t2 '))
      .map(([fields, length]) => `HTTP/1.1 200 OK\r\n${[...fields, length].join('\r\n')}\r\n\r\nok`),
  )
  await fc.assert(
    fc.asyncProperty(bytes, async (text) => {
      const given = Buffer.from(text, 'latin1')
      const mine = plainAnswer(given)
      if (mine === null) return
      const whole = given.subarray(0, mine.headBytes + mine.length)
      if (whole.length < mine.headBytes + mine.length) return
      taken++
      const theirs = await asNodeReads(whole)
      if (theirs === null) throw new Error(`refused by Node: ${JSON.stringify(text)}`)
      t.strictSame(
        [theirs.answer.statusCode, theirs.answer.rawHeaders, theirs.body.length],
        [mine.status, mine.raw, mine.length],
        JSON.stringify(text),
      )
    }),
    { seed: 3, numRuns: 4000 },
  )
  t.ok(taken > 200, `${taken} of them were plain`)
})
