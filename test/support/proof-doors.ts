/** A visitor's request comes in; what each door of a gateway answers to it comes out: the proxy's own, and forward auth in three families. */
import {
  type Answer,
  type Ask,
  ask,
  exchange,
  parseAnswer,
  rawClient,
  webSocketBytes,
} from './gateway-bytes.ts'

export const families = ['forward-auth', 'auth-request', 'ext-authz'] as const
export type FamilyName = (typeof families)[number]

export interface ProofDoor {
  readonly name: 'http' | 'upgrade' | FamilyName
  try(request: Ask): Promise<Answer>
}

/** Where a gateway listens. */
export interface Listening {
  readonly port: number
  readonly authzPort: number
}

/** True for what lets a visitor in. */
export const isYes = (status: number): boolean => status === 101 || (status >= 200 && status < 300)

/** The bytes of a front's question about a visitor's request, by the family's own headers; `headers` are the visitor's. */
export function questionBytes(family: FamilyName, request: Ask, scheme = 'http'): string {
  const { host, method = 'GET', path = '/', headers = [] } = request
  const described: Readonly<Record<FamilyName, readonly string[]>> = {
    'forward-auth': [
      'GET /api/authz/forward-auth HTTP/1.1',
      'Host: front',
      `X-Forwarded-Method: ${method}`,
      `X-Forwarded-Proto: ${scheme}`,
      `X-Forwarded-Host: ${host}`,
      `X-Forwarded-Uri: ${path}`,
    ],
    'auth-request': [
      'GET /api/authz/auth-request HTTP/1.1',
      'Host: front',
      `X-Original-Method: ${method}`,
      `X-Original-URL: ${scheme}://${host}${path}`,
    ],
    'ext-authz': [`${method} /api/authz/ext-authz${path} HTTP/1.1`, `Host: ${host}`],
  }
  return [...described[family], ...headers, 'Connection: close', '', ''].join('\r\n')
}

async function tryUpgrade(port: number, request: Ask): Promise<Answer> {
  const client = await rawClient(port)
  client.send(webSocketBytes(request))
  await client.received(/\r\n\r\n/, 15_000)
  client.socket.destroy()
  return parseAnswer(client.text())
}

/** Asks one family of forward auth. */
export const askFront = (at: Listening, family: FamilyName, request: Ask): Promise<Answer> =>
  exchange(at.authzPort, questionBytes(family, request))

/** All of them. */
export function doorsAt(at: Listening): ProofDoor[] {
  return [
    { name: 'http', try: (request) => ask(at.port, request) },
    { name: 'upgrade', try: (request) => tryUpgrade(at.port, request) },
    ...families.map((name) => ({ name, try: (request: Ask) => askFront(at, name, request) })),
  ]
}
