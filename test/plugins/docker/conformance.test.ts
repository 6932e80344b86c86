/**
 * `postern plugin check docker`, the real command on the machine's own engine: each line of the kit is a test here.
 * And what it says where the kit can't run.
 */
import { createServer, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { engineLacks, machineEngine } from '../../support/docker-engine.ts'
import { CliProcess } from '../../support/product-process.ts'
import { needImages } from '../../support/product-images.ts'

t.setTimeout(600_000)

/** Runs the command with these settings of the plugin. */
function check(t: Test, name: string, settings: Readonly<Record<string, unknown>> = {}): CliProcess {
  const home = t.testdir({})
  const config = join(home, 'config.yml')
  writeFileSync(config, JSON.stringify({ runtime: name, runtime_config: settings }))
  const cli = new CliProcess({ home, args: ['plugin', 'check', name, '--config', config] })
  t.teardown(() => cli.end('SIGKILL'))
  return cli
}

const lacks = engineLacks() ?? (await needImages(machineEngine(), ['blank']))

t.test('the kit on Docker', { skip: lacks ?? false }, async (t) => {
  const cli = check(t, 'docker')
  const { code } = await cli.ended
  const lines = cli.stdout.split('\n')
  for (const line of lines.filter((line) => line.startsWith('ok'))) t.pass(line.slice(2).trim())
  t.same(
    lines.filter((line) => line.startsWith('skip')),
    [],
    'it declares all that the kit can try',
  )
  t.match(cli.stdout, /^(2[5-9]|[3-9]\d) passed, 0 failed, 0 skipped$/m, cli.stdout + cli.stderr)
  t.equal(code, 0)
})

t.test('no engine answers: a code and the next step', async (t) => {
  const cli = check(t, 'docker', { socketPath: '/nowhere/docker.sock' })
  t.equal((await cli.ended).code, 2)
  t.match(cli.stderr, /^ {2}code: {2}runtime_unavailable$/m)
  t.match(cli.stderr, /\/nowhere\/docker\.sock/)
  t.match(cli.stderr, /^ {2}next: {2}\S/m)
  t.notMatch(cli.stdout, /passed/)
})

t.test('the image of the probe is missing: a code and the command that makes it', async (t) => {
  const socketPath = join(t.testdir({}), 'engine.sock')
  const answer = (res: ServerResponse, status: number, body: object): void =>
    void res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  const asked: string[] = []
  const engine = createServer((req, res) => {
    asked.push(req.url ?? '')
    answer(res, 404, { message: 'No such image' })
  }).listen(socketPath)
  t.teardown(() => engine.close())
  await once(engine, 'listening')
  const cli = check(t, 'docker', { socketPath })
  t.equal((await cli.ended).code, 2)
  t.match(cli.stderr, /^ {2}code: {2}ERR_IMAGE_UNAVAILABLE$/m)
  t.match(cli.stderr, /postern images build blank/)
  t.match(asked[0], /postern\/blank:1/)
})
