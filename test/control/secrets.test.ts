/** What a deployment keeps on disk beside its rows: the key of secrets, and the templates. */
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { vaultOf } from '../../control/credentials/secrets.ts'
import { pretendAgent } from '../support/control-agent.ts'
import { controlServer } from '../support/control-server.ts'
import type { ControlServer } from '../support/control-server.ts'
import { templates } from '../support/control-templates.ts'

const root = t.testdir({ templates })
const templateDirectories = [join(root, 'templates')]
const api = '/api/v1/workspaces'
const agentOf = (server: ControlServer) => pretendAgent(server.control.embeddedAgent(), server.clock.now)

await t.test('a secret is in no file, no answer and no log, and reaches its own host alone', async (t) => {
  const stateDirectory = join(root, 'secret')
  const server = await controlServer({ stateDirectory, templateDirectories })
  const ada = await server.setUp()
  const agent = await agentOf(server)
  const canary = 'canary-7f3a91d2-value'
  const env = [
    { name: 'KEY', value: canary, secret: true },
    { name: 'OPEN', value: 'plain' },
  ]
  const { id } = (await ada.call('POST', api, { name: 'one', env })).json
  const want = (await agent.obey()).workspaces[0]
  t.match(want, {
    spec: {
      env: [
        { name: 'KEY', value: canary },
        { name: 'OPEN', value: 'plain' },
      ],
    },
  })
  const kept = await ada.call('PATCH', `${api}/${id}`, {
    env: [
      { name: 'KEY', secret: true },
      { name: 'NEW', value: 'plain-as-day' },
    ],
  })
  t.same(kept.json.spec.env, [
    { name: 'KEY', secret: true },
    { name: 'NEW', value: 'plain-as-day', secret: false },
  ])
  t.match((await agent.obey()).workspaces[0], {
    spec: { env: [{ value: canary }, { value: 'plain-as-day' }] },
  })
  t.match(await ada.call('PATCH', `${api}/${id}`, { env: [{ name: 'KEY', secret: false }] }), { status: 422 })
  t.match(await ada.call('PATCH', `${api}/${id}`, { env: [{ name: 'OTHER', secret: true }] }), {
    status: 422,
  })
  t.match(await ada.call('POST', api, { name: 'two', env: [...env, env[0]] }), {
    status: 422,
    json: { errors: [{ path: 'env.2.name' }] },
  })
  const sealed = (await server.deployment.feed.db('workspaces').first('spec')) as { spec: string }
  const swapped = (JSON.parse(sealed.spec) as { env: { name: string; value: string }[] }).env[0]?.value ?? ''
  const { vault } = server.deployment
  t.equal(vault.open({ workspaceId: id, name: 'KEY' }, swapped), canary)
  t.throws(() => vault.open({ workspaceId: id, name: 'OTHER' }, swapped), 'bound to its name')
  t.throws(() => vault.open({ workspaceId: 'other', name: 'KEY' }, swapped), 'bound to its workspace')
  t.throws(() => vaultOf(Buffer.alloc(32)).open({ workspaceId: id, name: 'KEY' }, swapped))
  await ada.call('GET', api)
  await server.close()
  for (const file of await readdir(stateDirectory)) {
    const bytes = await readFile(join(stateDirectory, file))
    t.notOk(bytes.includes(canary), `${file} does not hold it`)
  }
  t.ok(
    (await readFile(join(stateDirectory, 'postern.sqlite'))).includes('plain-as-day'),
    'the search does find things',
  )
  t.notOk([...server.answers, ...server.log.lines].some((text) => text.includes(canary)))
  const key = join(stateDirectory, 'secrets.key')
  t.equal((await stat(key)).mode & 0o777, 0o600)
  await rename(key, `${key}.away`)
  const options = { stateDirectory, templateDirectories }
  await t.rejects(controlServer(options), { code: 'key_missing', fix: /backup/ })
  await writeFile(key, Buffer.alloc(32, 1).toString('base64'))
  await t.rejects(controlServer(options), { code: 'key_invalid' }, 'another key')
  await writeFile(key, 'short')
  await t.rejects(controlServer(options), { code: 'key_invalid' })
  await rename(`${key}.away`, key)
  const again = await controlServer(options)
  t.match(await (await agentOf(again)).desired(), {
    workspaces: [{ spec: { env: [{ value: canary }, {}] } }],
  })
  await again.close()
})

await t.test('a broken template stops the start and is named; a template that went lives on', async (t) => {
  const folder = t.testdir({
    bad: { broken: { 'template.yml': 'title: 3\nportz: []' } },
    yaml: { broken: { 'template.yml': '{' } },
    file: { broken: { 'template.yml': 'title: x\nhost: { command: [x], files: [none.js] }' } },
    path: { broken: { 'template.yml': 'title: x\nhost: { command: [x], files: [../x] }' } },
  })
  for (const each of ['bad', 'yaml', 'file', 'path'])
    await t.rejects(
      controlServer({ stateDirectory: join(folder, `s-${each}`), templateDirectories: [join(folder, each)] }),
      {
        code: 'template_invalid',
        message: /broken/,
      },
    )
  const stateDirectory = join(folder, 'state')
  const before = await controlServer({ stateDirectory, templateDirectories })
  const ada = await before.setUp()
  const { id } = (await ada.call('POST', api, { name: 'one', template: 'web' })).json
  await before.close()
  const after = await controlServer({ stateDirectory, templateDirectories: [join(folder, 'none-here')] })
  t.teardown(() => after.close())
  const again = after.client()
  again.cookie = ada.cookie
  const patched = await again.call('PATCH', `${api}/${id}`, { env: [{ name: 'A', value: '1' }] })
  t.match(patched, {
    status: 202,
    json: { generation: 2, spec: { template: 'web', image: 'postern/web:1' } },
  })
  t.match(await again.call('POST', api, { name: 'two' }), {
    status: 422,
    json: { code: 'invalid_body', errors: [{ path: 'template' }] },
  })
})
