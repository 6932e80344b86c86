/** The process plugin keeps every promise of the kit, as `postern plugin check process` runs it. */
import t from 'tap'
import { CliProcess } from '../../support/product-process.ts'

t.setTimeout(600_000)
t.test('postern plugin check process', async (t) => {
  const cli = new CliProcess({ home: t.testdir({}), args: ['plugin', 'check', 'process'] })
  t.teardown(() => cli.end('SIGKILL'))
  const { code } = await cli.ended
  for (const line of cli.stdout.split('\n')) if (line.startsWith('ok')) t.pass(line.slice(2).trim())
  t.match(cli.stdout, /^(2[0-9]|[3-9]\d) passed, 0 failed, \d skipped$/m, cli.stdout + cli.stderr)
  t.equal(code, 0)
})
