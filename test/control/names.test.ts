/** One name space of workspaces and aliases, on both databases: taken once, kept for who had it, freed by an administrator. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Client, controlServer, type ControlServer } from '../support/control-server.ts'
import { startPostgres } from '../support/control-postgres.ts'

t.setTimeout(120_000)
const postgres = await startPostgres()
t.teardown(() => postgres?.stop())
const root = t.testdir({})
let count = 0

type Dialect = 'sqlite' | 'postgres'

async function serve(t: Test, dialect: Dialect): Promise<ControlServer> {
  const name = `names${++count}`
  const databaseUrl = dialect === 'sqlite' ? null : ((await postgres?.database(name)) ?? null)
  const server = await controlServer({
    stateDirectory: join(root, name),
    databaseUrl,
    reservedNames: ['intranet'],
  })
  t.teardown(() => server.close())
  return server
}

const create = (who: Client, name: string) => who.call('POST', '/api/v1/workspaces', { name, image: 'x:1' })
const alias = (who: Client, workspace: string, name: string, port?: number) =>
  who.call('POST', `/api/v1/workspaces/${workspace}/aliases`, { alias: name, ...(port ? { port } : {}) })
const unalias = (who: Client, workspace: string, name: string) =>
  who.call('DELETE', `/api/v1/workspaces/${workspace}/aliases/${name}`)
const purge = (who: Client, name: string) => who.call('DELETE', `/api/v1/workspaces/${name}?purge=true`)

for (const dialect of ['sqlite', 'postgres'] as const)
  await t.test(
    dialect,
    { skip: dialect === 'postgres' && postgres === null ? 'PostgreSQL is not installed' : false },
    async (t) => {
      await t.test('an alias is shown, leads gateways, and is its owner’s to give and take', async (t) => {
        const server = await serve(t, dialect)
        const ada = await server.setUp()
        const [bob, eve] = [await server.member(ada, 'bob'), await server.member(ada, 'eve')]
        const { json: shop } = await create(bob, 'shop')
        t.equal((await alias(eve, 'shop', 'mine')).status, 404, 'not theirs is not there')
        const first = await alias(bob, 'shop', 'store', 3000)
        t.match(first, {
          status: 201,
          json: {
            aliases: [{ name: 'store', port: 3000 }],
            urls: { aliases: { store: 'http://store.ws.localhost:8090/' } },
          },
        })
        t.equal((await alias(bob, 'shop', 'boutique')).status, 201)
        t.equal((await alias(bob, 'shop', 'store', 3000)).status, 201, 'saying it again changes nothing')
        const fact = () => {
          const row = server.facts.rows.get(`route ${shop.id}`)
          return row?.kind === 'route' ? row.row : null
        }
        t.same(fact()?.aliases, ['boutique', 'store'])
        t.same(fact()?.aliasPorts, [{ name: 'store', port: 3000 }])
        t.equal((await alias(bob, 'shop', 'store', 4000)).status, 201)
        t.same(fact()?.aliasPorts, [{ name: 'store', port: 4000 }])
        t.equal((await unalias(bob, 'shop', 'store')).status, 200)
        t.same(fact()?.aliases, ['boutique'])
        t.equal((await unalias(bob, 'shop', 'store')).status, 404)

        t.match(await alias(eve, (await create(eve, 'evil')).json.id, 'store'), { status: 409 })
        t.match((await ada.call('GET', '/api/v1/names')).json.items, [
          { name: 'store', owner: { username: 'bob' } },
        ])
        t.equal((await alias(bob, 'shop', 'store')).status, 201, 'who had it may have it again')
        t.same((await ada.call('GET', '/api/v1/names')).json.items, [], 'what is in use is not listed')
        t.equal((await ada.call('DELETE', '/api/v1/names/store')).status, 404, 'nor freed')
        await purge(bob, 'shop')
        for (const name of ['shop', 'store', 'boutique']) t.equal((await create(eve, name)).status, 409, name)
        t.equal((await create(bob, 'boutique')).status, 202)
      })

      await t.test('the grammar, the reserved names, and the bound', async (t) => {
        const server = await serve(t, dialect)
        const ada = await server.setUp()
        await create(ada, 'shop')
        for (const bad of [
          'a',
          'x-3000',
          'Shop',
          'a'.repeat(41),
          'www',
          'status',
          'wpad',
          'autodiscover',
          'postern',
          'xn--a',
          '',
          'a.b',
        ])
          t.match(await alias(ada, 'shop', bad), { status: 422, json: { errors: [{ path: 'alias' }] } }, bad)
        t.match(await alias(ada, 'shop', 'intranet'), { status: 422, json: { code: 'invalid_name' } })
        t.match(await create(ada, 'intranet'), { status: 422, json: { code: 'invalid_name' } })
        t.equal((await alias(ada, 'shop', 'shop')).status, 409, 'its own name')
        for (const port of [0, 65536, 1.5]) t.equal((await alias(ada, 'shop', 'ok', port || -1)).status, 422)
        for (let n = 0; n < 16; n++) t.equal((await alias(ada, 'shop', `n${n}`)).status, 201)
        t.match(await alias(ada, 'shop', 'one-more'), { status: 422, json: { code: 'limit_exceeded' } })
      })

      await t.test(
        'of many who want one name at once, as a workspace or an alias, one gets it',
        async (t) => {
          const server = await serve(t, dialect)
          const ada = await server.setUp()
          const people = await Promise.all(
            ['b', 'c', 'd', 'e'].map((name) => server.member(ada, `${name}ob`)),
          )
          const homes = await Promise.all(
            people.map(async (who, n) => (await create(who, `home${n}x`)).json.id),
          )
          const answers = await Promise.all(
            people.flatMap((who, n) => [create(who, 'popular'), alias(who, homes[n] ?? '', 'popular')]),
          )
          const won = answers.filter(({ status }) => status === 201 || status === 202)
          t.equal(won.length, 1)
          t.same(
            new Set(answers.filter((each) => !won.includes(each)).map(({ status }) => status)),
            new Set([409]),
          )
          const routes = [...server.facts.rows.values()].filter(
            (fact) => fact.kind === 'route' && [fact.row.name, ...fact.row.aliases].includes('popular'),
          )
          t.equal(routes.length, 1, 'and gateways know one')
        },
      )

      await t.test('a session on a name that was another’s says since when it isn’t', async (t) => {
        const server = await serve(t, dialect)
        const ada = await server.setUp()
        const [bob, eve] = [await server.member(ada, 'bob'), await server.member(ada, 'eve')]
        /** Through the hand-off, as a gateway asks for it. */
        const enter = async (who: Client, workspaceId: string, label: string) => {
          const nonce = 'n'.repeat(43)
          const parentHash = createHash('sha256')
            .update(who.cookie.split('=')[1] ?? '')
            .digest('hex')
          const session = server.facts.rows.get(`session ${parentHash}`)
          const challenge = createHash('sha256').update(nonce).digest('base64url')
          const userId = session?.kind === 'session' ? session.row.userId : ''
          const code = await server.control.edge.issueCode({
            userId,
            parentHash,
            workspaceId,
            label,
            challenge,
          })
          return server.control.edge.redeemCode({ code, nonce, label }, null)
        }
        const first = (await create(bob, 'shop')).json.id
        await alias(bob, 'shop', 'store')
        t.equal((await enter(bob, first, 'shop-3000')).reusedAtMs, undefined)
        await purge(bob, 'shop')
        const again = (await create(bob, 'shop')).json.id
        t.equal((await enter(bob, again, 'shop')).reusedAtMs, undefined, 'its owner may have it again')
        await purge(bob, 'shop')
        for (const name of ['shop', 'store']) await ada.call('DELETE', `/api/v1/names/${name}`)
        server.clock.now += 1000
        const third = (await create(eve, 'shop')).json.id
        await alias(eve, 'shop', 'store', 3000)
        for (const label of ['shop', 'shop-3000', 'store', 'store-1'])
          t.equal((await enter(eve, third, label)).reusedAtMs, server.clock.now, label)
        await purge(eve, 'shop')
        server.clock.now += 1000
        const fourth = (await create(eve, 'shop')).json.id
        t.equal((await enter(eve, fourth, 'shop')).reusedAtMs, server.clock.now - 1000, 'still since then')
      })

      await t.test('the cap on sharing binds what is asked, and what was there', async (t) => {
        const server = await serve(t, dialect)
        const ada = await server.setUp()
        const bob = await server.member(ada, 'bob')
        const ports = [
          { port: 3000, visibility: 'public' },
          { port: 3001, visibility: 'link' },
          { port: 3002, visibility: 'members' },
        ]
        const { json } = await bob.call('POST', '/api/v1/workspaces', { name: 'shop', image: 'x:1', ports })
        const shown = () => {
          const row = server.facts.rows.get(`route ${json.id}`)
          return row?.kind === 'route' ? row.row.ports.map(({ visibility }) => visibility) : null
        }
        t.same(shown(), ['public', 'link', 'members'])
        t.match((await ada.call('GET', '/api/v1/settings')).json, { maxVisibility: 'public' })
        t.equal((await bob.call('PATCH', '/api/v1/settings', { maxVisibility: 'owner' })).status, 403)
        const cap = (maxVisibility: string) => ada.call('PATCH', '/api/v1/settings', { maxVisibility })
        const narrowed = {
          owner: ['owner', 'owner', 'owner'],
          shared: ['shared', 'shared', 'shared'],
          // Who holds a link is not everybody who is signed in.
          members: ['members', 'shared', 'members'],
          link: ['link', 'link', 'members'],
          public: ['public', 'link', 'members'],
        }
        for (const [to, visibilities] of Object.entries(narrowed)) {
          t.equal((await cap(to)).status, 200)
          t.same(shown(), visibilities, `${to}, known before the answer`)
        }
        await cap('members')
        t.match((await bob.call('GET', '/api/v1/limits')).json, { maxVisibility: 'members' })
        const patch = (given: object[]) => bob.call('PATCH', '/api/v1/workspaces/shop', { ports: given })
        t.match(await patch([{ port: 4000, visibility: 'public' }]), {
          status: 422,
          json: {
            code: 'visibility_too_wide',
            hint: /administrator/,
            errors: [{ path: 'ports.0.visibility' }],
          },
        })
        t.match(
          await bob.call('POST', '/api/v1/workspaces', {
            name: 'other',
            image: 'x:1',
            ports: [{ port: 1, visibility: 'link' }],
          }),
          { status: 422, json: { code: 'visibility_too_wide' } },
        )
        t.equal(
          (await patch([...ports, { port: 4000, visibility: 'members' }])).status,
          202,
          'what stays, stays',
        )
        t.same(shown(), ['members', 'shared', 'members', 'members'])
        t.equal((await cap('nobody')).status, 422)
      })
    },
  )
