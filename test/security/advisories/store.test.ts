// The store that throws at every read, one after the other, control's and the gateway's: never a 2xx, never a session.
import t from 'tap'
import { password } from '../../support/control-server.ts'
import { always, OK, rawUpstream } from '../../support/gateway-bytes.ts'
import { type EdgeUnderTest, originOf, startEdge, webAndSocket } from '../../support/gateway-edge.ts'
import type { Client } from '../../support/product-client.ts'
import { startDeployment } from '../../support/proof-deployment.ts'
import { doorsAt, isYes } from '../../support/proof-doors.ts'

/** Members of the table that a decision may read: whatever it has, so that a new one is thrown at as well. */
function readsOf(table: object): string[] {
  const own = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(table) as object)
  const writes = new Set(['constructor', 'reset', 'apply', 'suspend', 'onChange'])
  return Object.keys(own).filter((name) => !writes.has(name))
}

/** Makes the nth read of the table throw; gives how many reads there were, and how to mend it. */
function sabotage(table: object, nth: number): { reads(): number; mend(): void } {
  let count = 0
  const proto = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(table) as object)
  const names = readsOf(table)
  const read = <T>(act: () => T): T => {
    if (++count === nth) throw new Error('the table is unreadable')
    return act()
  }
  for (const name of names) {
    const { get, value } = proto[name] as { get?: () => unknown; value?: (...args: unknown[]) => unknown }
    if (get !== undefined)
      Object.defineProperty(table, name, { get: () => read(() => get.call(table)), configurable: true })
    else if (typeof value === 'function')
      Object.defineProperty(table, name, {
        value: (...args: unknown[]) => read(() => value.apply(table, args)),
        configurable: true,
      })
  }
  return { reads: () => count, mend: () => names.forEach((name) => Reflect.deleteProperty(table, name)) }
}

// The outpost answered 200 where its session store had failed: a down Redis opened every app.
t.test('authentik CVE-2026-25748, #18063: a table that throws at any read is never a yes', async (t) => {
  let asked = 0
  let held: ReturnType<typeof sabotage> | null = null
  const edge: EdgeUnderTest = await startEdge(t, {
    script(request, nth) {
      asked = held?.reads() ?? 0
      webAndSocket(request, nth)
    },
  })
  const route = edge.workspace('shop')
  edge.workspace('open', {}, 'public')
  const credentials = {
    cookie: [`Cookie: ${edge.cookie('alice', route)}`, originOf('shop')],
    token: [`X-Postern-Token: ${edge.control.token('alice', ['connect'])}`],
    nobody: [],
  }
  const table = edge.gateway.sink
  t.ok(readsOf(table).includes('routeByName') && readsOf(table).includes('isReady'))
  for (const door of doorsAt(edge))
    for (const [who, headers] of Object.entries(credentials)) {
      const host = `${who === 'nobody' ? 'open' : 'shop'}.ws.localhost:8090`
      // The first request dials, and looks up where to.
      await door.try({ host, headers: [...headers, 'Accept: */*'] })
      held = sabotage(table, -1)
      const good = await door.try({ host, headers: [...headers, 'Accept: */*'] })
      held.mend()
      t.ok(isYes(good.status), `${who} at ${door.name} is let in`)
      // What is read once the app has been asked decides nothing.
      const reads = door.name === 'http' || door.name === 'upgrade' ? asked : held.reads()
      t.ok(reads >= 2, `${who} at ${door.name}: ${reads} reads`)
      const passed = edge.upstream.requests.length
      for (let nth = 1; nth <= reads; nth++) {
        const broken = sabotage(table, nth)
        const answer = await door.try({ host, headers: [...headers, 'Accept: */*'] })
        broken.mend()
        t.notOk(isYes(answer.status), `read ${nth} of ${reads} for ${who} at ${door.name}: ${answer.status}`)
        t.same(answer.all('set-cookie'), [])
      }
      t.equal(edge.upstream.requests.length, passed, 'and no app is asked')
    }
})

/** A query as knex gives it to its driver. */
interface Query {
  readonly sql: string
}
interface Driver {
  _query(connection: unknown, query: Query): Promise<unknown>
}

// The same for control: each SELECT of each call in turn.
t.test('authentik CVE-2026-25748, #18063: a database that throws at any read is never a 2xx', async (t) => {
  const app = await rawUpstream(always(OK))
  t.teardown(() => app.close())
  const place = await startDeployment(t)
  const mia = await place.member('mia')
  const { id } = await place.workspace(mia, 'shop', [{ port: app.port }])
  const { client } = place.control.deployment.feed.db
  const driver = Object.getPrototypeOf(client) as Driver
  const query = driver._query
  t.teardown(() => void (driver._query = query))
  let reads = 0
  let failing = -1
  driver._query = function (connection, one) {
    // Whether there is news is also asked by a timer, after a failure: that one would be hit in the call's place.
    const isRead = /^\s*(select|with)\b/i.test(one.sql) && !/from .counters/i.test(one.sql)
    if (isRead && ++reads === failing) return Promise.reject(new Error('the database is away: 10.0.0.5:5432'))
    return query.call(this, connection, one)
  }
  const form = { username: 'mia', password }
  const calls: readonly [what: string, (who: Client) => Promise<{ status: number; text: string }>][] = [
    ['me', (who) => who.api('GET', '/api/v1/me')],
    ['the list', (who) => who.api('GET', '/api/v1/workspaces')],
    ['one', (who) => who.api('GET', `/api/v1/workspaces/${id}`)],
    ['its timeline', (who) => who.api('GET', `/api/v1/workspaces/${id}/events`)],
    ['sessions', (who) => who.api('GET', '/api/v1/sessions')],
    ['tokens', (who) => who.api('GET', '/api/v1/tokens')],
    ['a sign-in by REST', () => place.visitor().api('POST', '/api/v1/sessions', form)],
    ['a sign-in by form', () => place.visitor().submit('/sign-in', form)],
    [
      'the whole hand-off',
      async (who) => {
        const fresh = place.visitor()
        const cookie = [...who.cookies(place.publicUrl)].map(([name, value]) => `${name}=${value}`).join('; ')
        return handOff(fresh, cookie)
      },
    ],
  ]
  /** From the workspace's host to its app and back by cookies alone. */
  const handOff = async (fresh: Client, dashboard: string) => {
    const first = await fresh.ask(`${place.origin('shop')}/`, { headers: { Accept: 'text/html' } })
    const second = await fresh.ask(first.headers.location ?? '', {
      headers: { Accept: 'text/html', Cookie: dashboard },
    })
    if (second.headers.location === undefined) return second
    const third = await fresh.ask(second.headers.location, { headers: { Accept: 'text/html' } })
    if (third.headers.location === undefined) return third
    return fresh.ask(third.headers.location, { headers: { Accept: 'text/html' } })
  }
  for (const [what, call] of calls) {
    place.clock.ahead += 600_000
    reads = 0
    const good = await call(mia)
    t.ok(good.status < 400, `${what}: ${good.status}`)
    const count = reads
    t.ok(count > 0, `${what}: ${count} reads`)
    for (let nth = 1; nth <= count; nth++) {
      let answer = { status: 500, text: '' }
      // Work on a timer may have made the read in the call's place; not five times in a row.
      for (let tries = 0; tries < 5 && (tries === 0 || answer.status < 500); tries++) {
        // Past the limit on sign-ins.
        place.clock.ahead += 600_000
        reads = 0
        failing = nth
        const given = await call(mia)
        const isHit = reads >= nth
        failing = -1
        // What a failed delivery left is delivered now, not in the next call.
        await place.control.deployment.feed.pump()
        answer = isHit ? given : { status: 500, text: '' }
      }
      t.ok(answer.status >= 500, `${what}: read ${nth} of ${count}: ${answer.status}`)
      t.notMatch(answer.text, /10\.0\.0\.5/)
    }
  }
  failing = -1
  t.equal((await mia.api('GET', '/api/v1/me')).status, 200, 'it mends by itself')
})
