/** From inside of real workspaces: what can be reached, what is limited, and what a neighbour feels of it. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Instance, WorkspaceSpec } from '@postern/plugin'
import plugin from '@postern/plugin-docker'
import t from 'tap'
import { engineLacks, machineEngine } from '../../support/docker-engine.ts'
import { tinyImage } from '../../support/docker-image.ts'
import { containerName, inside, leftovers, page, quietHost, specOf } from '../../support/docker-world.ts'
import { outsideHost } from '../../support/outside-host.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const lacks = engineLacks()
const needsRoot = process.getuid?.() === 0 ? false : 'packet filter rules need root'

if (lacks !== undefined) t.test('isolation on Docker', { skip: lacks }, () => Promise.resolve())
else await tests()

async function tests(): Promise<void> {
  const docker = machineEngine()
  const image = await tinyImage(docker)
  const host = quietHost()
  const runtime = await plugin.open(plugin.config.parse({}), host)
  const signal = new AbortController().signal
  const v1 = !existsSync('/sys/fs/cgroup/cgroup.controllers')
  const made: WorkspaceSpec[] = []

  async function run(
    overrides: Partial<WorkspaceSpec> = {},
  ): Promise<{ spec: WorkspaceSpec; instance: Instance }> {
    const spec = specOf(image, overrides)
    made.push(spec)
    return { spec, instance: await runtime.start(spec, { signal }) }
  }
  const say = (spec: WorkspaceSpec, line: string) => inside(docker, containerName(host, spec.id), line)
  // Not wget: Debian's static one ends in a segmentation fault.
  const probe = async (spec: WorkspaceSpec, address: string, port: number) => {
    const { text, code } = await say(
      spec,
      `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 2 nc ${address} ${port}`,
    )
    return code === 143 && text.trim() === 'Terminated' ? 'silence' : `${code} ${text}`
  }
  const file = async (spec: WorkspaceSpec, path: string) =>
    (await say(spec, `cat /sys/fs/cgroup/${path}`)).text.trim()
  const addressOf = ({ reach }: Instance) => (reach.kind === 'address' ? reach.host : '')
  const find = async (spec: WorkspaceSpec) =>
    (await runtime.list({ signal })).find((one) => one.workspaceId === spec.id)
  const answers = async (instance: Instance) => (await page(addressOf(instance), 3000)) === 'tiny\n'

  t.teardown(async () => {
    await Promise.all(made.map(({ id }) => runtime.remove(id, { signal, keepData: false })))
    await runtime.close()
  })

  const [one, other] = await Promise.all([
    run({ cpuMillis: 500, memoryBytes: 64 * MIB, pids: 40, tmpBytes: 8 * MIB }),
    run(),
  ])

  t.test('a workspace reaches neither neighbours nor the host', { skip: needsRoot }, async (t) => {
    const server = createServer((_req, res) => res.end('reached')).listen(0, '0.0.0.0')
    t.teardown(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const gateway = addressOf(one.instance).replace(/\d+$/, (last) => String(Number(last) - 1))
    const local = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
    const hostAddress = local.find((each) => each.family === 'IPv4' && !each.internal)?.address ?? gateway
    t.equal(await page(gateway, port), 'reached', 'the listener is there')
    t.match(await probe(one.spec, addressOf(one.instance), 3000), /tiny/, 'the probe can tell')
    t.ok(await answers(other.instance), 'the neighbour answers the host')
    const forbidden: [string, string, number][] = [
      ['a neighbour', addressOf(other.instance), 3000],
      ['the bridge gateway', gateway, port],
      ['another address of the host', hostAddress, port],
      ['the gateway, 8090', gateway, 8090],
      ['the gateway, 8091', gateway, 8091],
      ['the engine by TCP', gateway, 2375],
      ['cloud metadata', '169.254.169.254', 80],
    ]
    await Promise.all(
      forbidden.map(async ([what, address, at]) => {
        // A refusal would be an answer of the host: the packet must not come so far.
        t.equal(await probe(one.spec, address, at), 'silence', `${what} can't be reached`)
      }),
    )
    t.not((await say(one.spec, 'ls /var/run/docker.sock /run/docker.sock')).code, 0, 'no engine socket')
    t.notMatch((await say(one.spec, 'cat /proc/net/if_inet6')).text, /eth0/, 'no IPv6 way round')
  })

  t.test('the way out is open', { skip: needsRoot }, async (t) => {
    const outside = await outsideHost()
    t.teardown(() => outside.close())
    t.match(await probe(other.spec, outside.address, outside.port), /outside/)
    t.match((await say(other.spec, 'cat /etc/resolv.conf')).text, /nameserver 127\.0\.0\.11/)
  })

  t.test('no privileges, and none to be had', async (t) => {
    const { text } = await say(one.spec, 'cat /proc/self/status; id -u; mount')
    t.match(text, /CapEff:\s+0+\n/)
    t.match(text, /CapBnd:\s+0+\n/)
    t.match(text, /NoNewPrivs:\s+1\n/)
    t.match(text, /Seccomp:\s+2\n/)
    t.match(text, /\n1000\n/, 'the user of the image')
    t.match(text, / on \/tmp type tmpfs \(rw,nosuid,nodev,/)
    const { HostConfig: made } = await docker.getContainer(containerName(host, one.spec.id)).inspect()
    t.equal(made.Privileged, false)
    t.same(made.PortBindings ?? {}, {}, 'nothing is published')
  })

  t.test('limits as read from inside', async (t) => {
    const get = (onV1: string, onV2: string) => file(one.spec, v1 ? onV1 : onV2)
    t.equal(await get('cpu/cpu.cfs_quota_us', 'cpu.max'), v1 ? '50000' : '50000 100000')
    t.equal(await get('memory/memory.limit_in_bytes', 'memory.max'), String(64 * MIB))
    t.equal(await get('pids/pids.max', 'pids.max'), '40')
    const fill = await say(one.spec, 'dd if=/dev/zero of=/tmp/fill bs=1M count=20; rm /tmp/fill')
    t.match(fill.text, /No space left on device/)
    t.match((await say(other.spec, 'df -k /tmp')).text, / 262144 /, 'the default of 256 MiB')
  })

  t.test('a fork bomb stops at its own limit', async (t) => {
    await say(one.spec, '(f() { f | f & }; f) >/dev/null 2>&1')
    t.match((await say(one.spec, 'while sleep 60 & do :; done')).text, /can't fork/)
    const current = Number(await file(other.spec, v1 ? 'pids/pids.current' : 'pids.current'))
    t.ok(current < 10, `the neighbour has ${current} processes of its own`)
    t.ok(await answers(other.instance), 'the neighbour answers')
    const top = (await docker.getContainer(containerName(host, one.spec.id)).top()) as {
      Processes: unknown[]
    }
    t.ok(top.Processes.length <= 40 && top.Processes.length > 1, `it has ${top.Processes.length} of 40`)
    await runtime.remove(one.spec.id, { signal, keepData: false })
  })

  t.test('a program ended by its memory limit is reported as oom', async (t) => {
    const { spec } = await run({ memoryBytes: 16 * MIB, command: ['tail', '/dev/zero'] })
    const ended = await until(async () => {
      const now = await find(spec)
      return now?.state === 'failed' ? now : undefined
    })
    t.match(ended.exit, { code: 137, oom: true })
  })

  t.test('a child ended by the memory limit is not the end of its program', async (t) => {
    const command = ['sh', '-c', 'tail /dev/zero; httpd -f -p 3000 -h /srv & wait']
    const { spec, instance } = await run({ memoryBytes: 16 * MIB, command })
    await until(() => answers(instance), { what: 'the program to go on' })
    t.match(await find(spec), { state: 'running', incarnation: instance.incarnation })
    await runtime.stop(spec.id, { signal, graceMs: 1_000 })
    t.match(await find(spec), { state: 'stopped', exit: { oom: false } }, 'and its end was ours')
  })

  t.test('nothing is left', async (t) => {
    await Promise.all(made.map(({ id }) => runtime.remove(id, { signal, keepData: false })))
    t.same(await leftovers(docker, host), [])
  })
}
