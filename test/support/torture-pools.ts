// Cases of connections to the app (RFC 9112 §9): which are used again, the one retry, poison on an idle one, failures.
import type { Case, Stage, Told } from './torture-case.ts'
import { ACCEPTS, opened } from './torture-upgrades.ts'
import type { Arrived, Script } from './torture-upstream.ts'
import { until } from './until.ts'

const HEAD = 'Host: {host}\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Answers the first request; what it does to a later one is the case. */
const afterFirst = (later: (request: Arrived) => void): Script => ({
  onWhole: (request) => {
    if (request.nth === 1) request.connection.socket.write(OK)
    else later(request)
  },
})

const leaves = {
  fin: ({ connection }: Arrived) => void connection.socket.end(),
  reset: ({ connection }: Arrived) => void connection.socket.resetAndDestroy(),
}

/** One request that warms a connection, then another on it; gives the status of the second. */
async function second(stage: Stage, request: string): Promise<number> {
  const client = await stage.client()
  client.send(stage.fill(`GET /warm HTTP/1.1\r\n${HEAD}\r\n`))
  await client.answered(1)
  client.send(stage.fill(request))
  await client.answered(2)
  return Number(client.answers[1]?.line.slice(9, 12))
}
const linesOf = (stage: Stage): string[] =>
  stage.upstream.requests.map(({ line }) => line.split(' ').slice(0, 2).join(' '))

const retried = (method: string, how: 'fin' | 'reset'): Case => ({
  name: `a kept connection that dies under ${method} (${how}) is replaced once`,
  app: afterFirst((request) =>
    request.nth === 2 ? leaves[how](request) : void request.connection.socket.write(OK),
  ),
  async play(stage) {
    stage.same(await second(stage, `${method} /b HTTP/1.1\r\n${HEAD}\r\n`), 200, 'status')
    stage.same(linesOf(stage), ['GET /warm', `${method} /b`, `${method} /b`], 'requests')
    stage.same(
      new Set(stage.upstream.requests.slice(1).map(({ connection }) => connection.id)).size,
      2,
      'connections',
    )
  },
})
const notRetried = (name: string, request: string, app: Script): Case => ({
  name,
  app,
  async play(stage) {
    stage.same(await second(stage, request), 502, 'status')
    stage.same(linesOf(stage).length, 2, `requests: ${linesOf(stage).join()}`)
  },
})

const races: readonly Case[] = [
  retried('GET', 'fin'),
  retried('GET', 'reset'),
  retried('PUT', 'reset'),
  retried('DELETE', 'reset'),
  retried('OPTIONS', 'fin'),
  ...(['fin', 'reset'] as const).flatMap((how) => [
    notRetried(
      `POST is never sent twice (${how})`,
      `POST /b HTTP/1.1\r\n${HEAD}\r\n`,
      afterFirst(leaves[how]),
    ),
    notRetried(
      `PUT with a body is never sent twice (${how})`,
      `PUT /b HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\nhi`,
      afterFirst(leaves[how]),
    ),
    notRetried(
      `chunked DELETE is never sent twice (${how})`,
      `DELETE /b HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
      afterFirst(leaves[how]),
    ),
  ]),
  notRetried(
    'a byte of an answer was there: GET is not sent again',
    `GET /b HTTP/1.1\r\n${HEAD}\r\n`,
    afterFirst(({ connection }) => void connection.socket.end('H')),
  ),
  {
    name: 'a WebSocket takes no kept connection, which may die under it',
    app: {
      onWhole: ({ connection }) => void connection.socket.write(OK),
      onHead: ({ connection, path }) => {
        if (path !== '/ws') return
        if (connection.id === 1) connection.socket.resetAndDestroy()
        else connection.socket.write(`${ACCEPTS}\r\n`)
      },
    },
    async play(stage) {
      const warm = await stage.client()
      warm.send(stage.fill(`GET /warm HTTP/1.1\r\n${HEAD}\r\n`))
      await warm.answered(1)
      await opened(stage)
      stage.same(linesOf(stage), ['GET /warm', 'GET /ws'], 'requests')
    },
  },
  {
    name: 'a retry that fails too is the end of it',
    app: afterFirst(leaves.reset),
    async play(stage) {
      stage.same(await second(stage, `GET /b HTTP/1.1\r\n${HEAD}\r\n`), 502, 'status')
      stage.same(linesOf(stage), ['GET /warm', 'GET /b', 'GET /b'], 'requests')
    },
  },
  {
    name: 'a fresh connection that dies is no race',
    app: { onWhole: leaves.reset },
    send: `GET /a HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [502],
    lines: ['GET /a'],
    body: /upstream_/,
    kept: true,
  },
]

const reuse = (name: string, request: string, connections: number, more: Partial<Told> = {}): Case => ({
  name,
  send: request,
  statuses: [200],
  lines: [request.split(' ').slice(0, 2).join(' ')],
  connections,
  ...more,
})
const kept: readonly Case[] = [
  reuse('a GET’s connection is used again', `GET /a HTTP/1.1\r\n${HEAD}\r\n`, 1),
  reuse('a POST’s connection is used again', `POST /a HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\nhi`, 1),
  reuse(
    'a GET with a body has its connection for itself',
    `GET /a HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\nhi`,
    2,
  ),
  reuse(
    'a chunked GET has its connection for itself',
    `GET /a HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
    2,
  ),
  reuse('an app that says close is believed', `GET /a HTTP/1.1\r\n${HEAD}\r\n`, 2, {
    says: 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
    kept: true,
  }),
]

const OTHERS = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
const poison: readonly Case[] = [
  {
    name: 'an answer too many, at once',
    says: OK + OTHERS,
    send: `GET /a HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: ['GET /a'],
    body: 'ok',
    kept: true,
    connections: 2,
  },
  {
    name: 'bytes after a body of known length',
    says: `${OK}surplus`,
    send: `GET /a HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: ['GET /a'],
    body: 'ok',
    kept: true,
    connections: 2,
  },
  {
    name: 'a body after HEAD',
    says: OK,
    send: `HEAD /a HTTP/1.1\r\n${HEAD}\r\n`,
    isHead: true,
    statuses: [200],
    lines: ['HEAD /a'],
    connections: 2,
  },
  ...['204 No Content', '304 Not Modified'].flatMap((line) =>
    (['', 'Transfer-Encoding: chunked\r\n'] as const).map((coding): Case => ({
      name: `another answer behind a ${line.slice(0, 3)}${coding === '' ? '' : ' that says chunked'}`,
      says: `HTTP/1.1 ${line}\r\n${coding}\r\n${OTHERS}`,
      send: `GET /a HTTP/1.1\r\n${HEAD}\r\n`,
      statuses: [Number(line.slice(0, 3))],
      lines: ['GET /a'],
      body: '',
      answerLacks: /^(content-length|transfer-encoding):/i,
      kept: true,
      connections: 2,
    })),
  ),
  {
    name: 'an answer that comes while nobody waits',
    app: { onWhole: ({ connection }) => void connection.socket.write(OK) },
    async play(stage) {
      const client = await stage.client()
      client.send(stage.fill(`GET /a HTTP/1.1\r\n${HEAD}\r\n`))
      await client.answered(1)
      const first = stage.upstream.connections[0]
      first?.socket.write(OTHERS)
      await until(() => first?.ended === true || first?.closed === true, {
        what: 'the end of the poisoned connection',
      })
      await stage.honest()
      client.send(stage.fill(`GET /b HTTP/1.1\r\n${HEAD}\r\n`))
      await client.answered(2)
      stage.same(
        client.answers.map(({ body }) => body),
        ['ok', 'ok'],
        'bodies',
      )
    },
  },
  {
    name: 'an app that closes an idle connection',
    app: { onWhole: ({ connection }) => void connection.socket.write(OK) },
    async play(stage) {
      const client = await stage.client()
      client.send(stage.fill(`POST /a HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\nhi`))
      await client.answered(1)
      const first = stage.upstream.connections[0]
      first?.socket.end()
      await until(() => first?.closed, { what: 'the end of the idle connection' })
      client.send(stage.fill(`POST /b HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\nhi`))
      await client.answered(2)
      stage.same(
        client.answers.map(({ line }) => line.slice(9, 12)),
        ['200', '200'],
        'a POST needs no retry',
      )
      stage.same(linesOf(stage), ['POST /a', 'POST /b'], 'requests')
    },
  },
]

export const poolCases: readonly Case[] = [...races, ...kept, ...poison]
