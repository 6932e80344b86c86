// Cases of request lines, targets and hosts (RFC 9112 §3): what passes byte for byte, what is refused, what the edge answers itself.
import type { Case, Told } from './torture-case.ts'

const HEAD = 'Host: {host}\r\n'

/** A target that reaches the app as it was sent. */
const untouched = (target: string, on: NonNullable<Told['on']> = {}): Case => ({
  name: `target ${target}`,
  send: `GET ${target} HTTP/1.1\r\n${HEAD}\r\n`,
  statuses: [200],
  lines: [`GET ${target}`],
  kept: true,
  on,
})
const refused = (name: string, line: string, status: number, more: Partial<Told> = {}): Case => ({
  name,
  send: `${line}\r\n${HEAD}\r\n`,
  refusal: true,
  statuses: [status],
  lines: [],
  ...more,
})

const targets: readonly Case[] = [
  untouched('/'),
  untouched('/?'),
  untouched('/a?b=c&d=%26'),
  untouched('//evil.example/x'),
  untouched('///'),
  untouched('/a//b'),
  untouched('/a/../b'),
  untouched('/a/./b/'),
  untouched('/%2e%2e/%2E%2e/x'),
  untouched('/a%2f..%2fb'),
  untouched('/a%5cb'),
  untouched('/%00'),
  untouched('/%zz%'),
  untouched("/a;b=c,d:e@f!$&'()*+"),
  untouched('/a|b^c`d{e}"f<g>'),
  untouched('/http://evil.example/'),
  untouched('/a?x=http:/b//c'),
  untouched('/a?x=y?z#'.slice(0, -1)),
  untouched(`/${'l'.repeat(8000)}`),
]

const forms: readonly Case[] = [
  {
    name: 'absolute form becomes origin form',
    send: `GET http://{host}/a?b HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: ['GET /a?b'],
    requestHas: ['Host: {host}'],
    kept: true,
  },
  {
    name: 'absolute form without a path',
    send: `GET http://{host}?b HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: ['GET /?b'],
  },
  {
    name: 'absolute form in capitals, without port',
    send: `GET HTTP://{NAME}.WS.LOCALHOST/a HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: ['GET /a'],
  },
  refused('absolute form of another host', 'GET http://evil.example/ HTTP/1.1', 400),
  refused('absolute form with a user', 'GET http://a:b@{host}/ HTTP/1.1', 400),
  refused('a target that is neither', 'GET evil.example/x HTTP/1.1', 400),
  refused('another scheme', 'GET ftp://{host}/ HTTP/1.1', 400),
  refused('a fragment', 'GET /private#/public HTTP/1.1', 400),
  refused('a backslash', 'GET /a\\b HTTP/1.1', 400),
  refused('a space in the target', 'GET /a b HTTP/1.1', 400),
  refused('a tab in the target', 'GET /a\tb HTTP/1.1', 400),
  refused('bytes beyond ASCII in the target', 'GET /\xe4\xf6 HTTP/1.1', 400),
  refused('a delete byte in the target', 'GET /a\x7fb HTTP/1.1', 400),
  refused('no target', 'GET HTTP/1.1', 400),
  refused('an asterisk without OPTIONS', 'GET * HTTP/1.1', 400),
  refused('HTTP/2.0 on a request line', 'GET /a HTTP/2.0', 505),
  refused('HTTP/1.2', 'GET /a HTTP/1.2', 400),
  refused('HTTP/0.9', 'GET /a', 505),
  refused('an unknown method', 'BREW /a HTTP/1.1', 400),
  refused('a method in lower case', 'get /a HTTP/1.1', 400),
  refused('CONNECT', 'CONNECT {host} HTTP/1.1', 405),
  {
    name: 'OPTIONS * is answered by the edge itself',
    send: `OPTIONS * HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [204],
    lines: [],
    answerHas: ['Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'],
    kept: true,
  },
  {
    name: 'OPTIONS of a path is the app’s',
    send: `OPTIONS /a HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: ['OPTIONS /a'],
    kept: true,
  },
  ...['PROPFIND', 'REPORT', 'PURGE', 'M-SEARCH', 'TRACE'].map((method): Case => ({
    name: `${method} passes`,
    send: `${method} /a HTTP/1.1\r\n${HEAD}\r\n`,
    statuses: [200],
    lines: [`${method} /a`],
    kept: true,
  })),
]

/** A request whose Host is all that counts. */
const host = (name: string, field: string, status: number, more: Partial<Told> = {}): Case => ({
  name,
  send: `GET /a HTTP/1.1\r\n${field}\r\n\r\n`,
  refusal: true,
  statuses: [status],
  lines: [],
  ...more,
})
const through = (name: string, field: string): Case => ({
  name,
  send: `GET /a HTTP/1.1\r\n${field}\r\n\r\n`,
  statuses: [200],
  lines: ['GET /a'],
  requestHas: [field],
  kept: true,
})

const hosts: readonly Case[] = [
  host('two Hosts', 'Host: {host}\r\nHost: evil.example', 400),
  host('the same Host twice', 'Host: {host}\r\nhost: {host}', 400),
  host('an empty Host', 'Host: ', 421),
  host('a foreign Host', 'Host: evil.example', 421),
  host('a longer host', 'Host: {name}.ws.localhost.evil.example', 421),
  host('one label more', 'Host: a.{name}.ws.localhost', 421),
  host('a label that ends in the base', 'Host: {name}ws.localhost', 421),
  host('a user in Host', 'Host: evil:x@{host}', 421),
  host('a list in Host', 'Host: {host}, evil.example', 421),
  host('a space in Host', 'Host: {host} evil.example', 421),
  host('a path in Host', 'Host: {host}/x', 421),
  host('port 0 in the label', 'Host: {name}-0.ws.localhost', 421),
  host('port 65536 in the label', 'Host: {name}-65536.ws.localhost', 421),
  host('a port that is a host', 'Host: {name}-80@x.ws.localhost', 421),
  host('port 0 after the host', 'Host: {name}.ws.localhost:0', 421),
  host('a port that is no number', 'Host: {name}.ws.localhost:80x', 421),
  host('two dots at the end', 'Host: {name}.ws.localhost..', 421),
  host('an address of IPv6', 'Host: [::1]:8090', 421),
  through('a host in capitals', 'Host: {NAME}.WS.LocalHost:8090'),
  through('a dot after the host', 'Host: {name}.ws.localhost.:8090'),
  through('a host without port', 'Host: {name}.ws.localhost'),
  through('a host with the app’s port', 'Host: {name}-{port}.ws.localhost:8090'),
]

export const targetCases: readonly Case[] = [...targets, ...forms, ...hosts]
