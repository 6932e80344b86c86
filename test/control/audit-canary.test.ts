/** Canaries stand in every field of every call and in every secret that is given out: none is in audit, export, hook or log. */
import { join } from 'node:path'
import t from 'tap'
import { z } from 'zod'
import { operations } from '../../control/api/operations.ts'
import { routeActions } from '../../control/audit/audit-actions.ts'
import { listAudit } from '../../control/store/audit.ts'
import { startReceiver } from '../support/audit-receiver.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { controlServer } from '../support/control-server.ts'
import type { Client } from '../support/control-server.ts'

const root = t.testdir({})
let counter = 0
const canary = (): string => `Cnry-${++counter}-zQ9_secret!`

/** Fields whose text nobody but its owner may read, also where the call goes well; the id of a token is no secret. */
const isSecretField = (name: string): boolean =>
  name !== 'tokenId' &&
  /password|token|secret|credential|nonce|^code$|challenge|hash|^value$|^query$|^flows$/i.test(name)

interface Shape {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Shape>>
  readonly items?: Shape
  readonly anyOf?: readonly Shape[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
}

/** A body of that shape with a canary in each text; `placed` is told of each, and whether it is in a secret field. */
function filled(shape: Shape, name: string, placed: (canary: string, secret: boolean) => void): unknown {
  if (shape.enum !== undefined) return shape.enum[0]
  if (shape.const !== undefined) return shape.const
  if (shape.anyOf?.[0] !== undefined) return filled(shape.anyOf[0], name, placed)
  if (shape.properties !== undefined)
    return Object.fromEntries(
      Object.entries(shape.properties).map(([key, inner]) => [key, filled(inner, key, placed)]),
    )
  if (shape.type === 'array') return [filled(shape.items ?? {}, name, placed)]
  if (shape.type === 'integer' || shape.type === 'number') return 3000
  if (shape.type === 'boolean') return true
  const text = canary()
  // Where a visitor came from, by a gateway's word, is told as it is.
  if (!/^(ip|userAgent|requestId)$/.test(name)) placed(text, isSecretField(name))
  return text
}

await t.test('no secret is told', { timeout: 120_000 }, async (t) => {
  const to = await startReceiver()
  t.teardown(() => to.close())
  const server = await controlServer({ stateDirectory: join(root, 'state'), hookTargets: 'any' })
  t.teardown(() => server.close())
  const forbidden = new Set<string>()
  const secret = (text: string): string => {
    forbidden.add(text)
    return text
  }
  const setupToken = secret(new URL((await server.control.setupUrl()) ?? '').searchParams.get('token') ?? '')
  const password = secret(canary())
  const ada = server.client()
  const begun = { token: setupToken, username: 'ada', password }
  t.equal((await ada.call('POST', '/api/v1/setup', begun)).status, 201)
  await pretendAgent(server.control.embeddedAgent(), server.clock.now)
  secret(ada.cookie.split('=')[1] ?? '')

  /** Calls, and remembers every secret of the answer. */
  const call = async (client: Client, method: string, path: string, body?: unknown) => {
    const answer = await client.call<Record<string, unknown>>(method, path, body)
    for (const [name, value] of Object.entries(answer.json ?? {})) {
      if (typeof value !== 'string' || value.length < 16) continue
      if (/^(token|secret|credential|flowKey)$/.test(name)) secret(value)
      // Links carry their secret in the URL's last part.
      const last = name === 'url' || name === 'link' ? value.split(/[/=#?]/).at(-1) : undefined
      if (last !== undefined && last.length >= 16) secret(last)
    }
    return answer
  }
  const done = async (method: string, path: string, body?: unknown) => {
    const answer = await call(ada, method, path, body)
    t.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.status < 300 ? '' : answer.text}`)
    return answer
  }
  const hook = await done('POST', '/api/v1/hooks', { name: 'all', url: to.url, events: ['*'] })
  const key = String(hook.json['secret']).slice(6)
  secret(key)
  await done('POST', '/api/v1/users', { username: 'bob', password: secret(canary()) })
  const users = await ada.call('GET', '/api/v1/users')
  const bob = users.json.items.find((each) => (each as unknown as { username: string }).username === 'bob')
  await done('PATCH', `/api/v1/users/${bob?.id}`, { password: secret(canary()) })
  const env = [{ name: 'KEY', value: secret(canary()), secret: true }]
  await done('POST', '/api/v1/workspaces', { name: 'shop', image: 'alpine:3', env })
  await done('PATCH', '/api/v1/workspaces/shop', {
    env: [{ name: 'KEY', value: secret(canary()), secret: true }],
  })
  await done('POST', '/api/v1/tokens', { name: 'laptop' })
  await done('POST', '/api/v1/hosts/tokens', { name: 'host' })
  const joining = await done('POST', '/api/v1/gateways/tokens', { name: 'edge' })
  const gateway = server.client(String(joining.json['token']))
  const joined = await call(gateway, 'POST', '/api/gateway/v1/join', {
    name: 'edge',
    machineId: 'm',
    version: '0',
  })
  const exchanged = await call(
    server.client(String(joined.json['credential'])),
    'POST',
    '/api/gateway/v1/token',
  )
  const edge = server.client(String(exchanged.json['token']))

  // Every call that changes something, with a canary in each text, in its path, its query, and where none belongs.
  const clients = [ada, edge, server.client()]
  for (const keyOf of Object.keys(routeActions)) {
    const [method = '', path = ''] = keyOf.split(' ')
    const isOfAgent = path.startsWith('/api/agent/')
    // It would end the very session that all else is asked by.
    if (isOfAgent || keyOf === 'DELETE /api/v1/sessions/current' || keyOf === 'DELETE /api/v1/sessions')
      continue
    const schema = operations[keyOf]?.body
    const shape = (
      schema === undefined ? {} : z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
    ) as Shape
    for (const client of clients) {
      const inPath = path.replace(/:[a-z]+/g, () => encodeURIComponent(secret(`pst_${canary()}`)))
      const placed: [string, boolean][] = []
      const body = filled(shape, '', (text, isSecret) => placed.push([text, isSecret]))
      const bodies = [
        body,
        typeof body === 'object' && body !== null ? { ...body, [secret(canary())]: secret(canary()) } : body,
        `{"password": "${secret(canary())}`,
      ]
      let isTaken = false
      for (const sent of bodies) {
        const { status } = await call(client, method, `${inPath}?token=${secret(canary())}`, sent)
        t.not(status, 500, `${keyOf}: ${status}`)
        isTaken ||= status < 300
      }
      for (const [text, isSecret] of placed) if (isSecret || !isTaken) forbidden.add(text)
    }
  }
  // A password where the name belongs, and the other way round.
  await server.client().call('POST', '/api/v1/sessions', { username: secret(canary()), password: 'ada' })
  await server.client().call('POST', '/api/v1/sessions', { username: 'ada', password: secret(canary()) })
  await server.sweep()
  await server.hooks.round()

  const rows = await listAudit(server.deployment.feed.db, {}, { limit: 10_000 })
  const told: Record<string, string> = {
    'the audit': JSON.stringify(await server.deployment.feed.db('audit')),
    'the export': (await ada.call('GET', '/api/v1/audit/export')).text,
    'the messages of hooks': JSON.stringify(await server.deployment.feed.db('deliveries')),
    'what a hook was sent': JSON.stringify(to.got),
    'the log': server.log.lines.join('\n'),
  }
  t.ok(forbidden.size > 300, `${forbidden.size} canaries`)
  t.ok(rows.length > 30, `${rows.length} rows`)
  t.ok(to.got.length > 30, `${to.got.length} messages`)
  for (const [where, text] of Object.entries(told)) {
    t.ok(text.length > 1000, `${where} is looked at`)
    // As it is, and as it would stand in JSON, in a URL, or lower-cased.
    const lower = text.toLowerCase()
    const found = [...forbidden].filter((each) => each !== '' && lower.includes(each.toLowerCase()))
    const at = found.map((each) =>
      text.slice(Math.max(0, lower.indexOf(each.toLowerCase()) - 200)).slice(0, 400),
    )
    t.same(at, [], `in ${where}`)
  }
})
