/** The pure parts of the Docker plugin: specs to bodies, facts to instances, labels, subnets, settings, rules, frames. */
import type { LogLine, WorkspaceSpec } from '@postern/plugin'
import { containerBody, incarnationOf, instanceOf } from '@postern/plugin-docker/internal/convert'
import type { Facts } from '@postern/plugin-docker/internal/convert'
import { engineError } from '@postern/plugin-docker/internal/errors'
import { insertion, managedFirewall, missingRules, rules } from '@postern/plugin-docker/internal/firewall'
import { labelsOf, nameOf, namesOf, proofOf } from '@postern/plugin-docker/internal/labels'
import { linesOf } from '@postern/plugin-docker/internal/logs'
import { parseConfig } from '@postern/plugin-docker/internal/options'
import {
  freeBlock,
  overlaps,
  parseBlock,
  printBlock,
  routedBlocks,
} from '@postern/plugin-docker/internal/subnet'
import type { Block } from '@postern/plugin-docker/internal/subnet'
import fc from 'fast-check'
import t from 'tap'
import { quietHost } from '../../support/docker-world.ts'

const owner = { deploymentId: 'Deploy-ment-1234', hostId: 'host' }
const shape = { tmpBytes: 1_000_000, publishes: false, gpus: [] }
const spec: WorkspaceSpec & { image: string } = {
  id: 'abcdefgh',
  name: 'web',
  generation: 3,
  image: 'i:1',
  env: [{ name: 'A', value: 'b=c\nd' }],
  ports: [{ port: 3000 }],
}

t.test('a spec becomes a container without rights, ports or swap', async (t) => {
  const body = containerBody({ ...spec, cpuMillis: 250, memoryBytes: 64, pids: 9, tmpBytes: 7 }, owner, shape)
  t.match(body, {
    Image: 'i:1',
    Hostname: 'web',
    Env: ['A=b=c\nd'],
    Labels: { 'dev.postern.generation': '3' },
  })
  t.match(body.HostConfig, {
    NetworkMode: 'postern-deployme-abcdefgh',
    Mounts: [{ Type: 'volume', Source: 'postern-deployme-abcdefgh-home', Target: '/home/dev' }],
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges'],
    CpuPeriod: 100_000,
    CpuQuota: 25_000,
    Memory: 64,
    MemorySwap: 64,
    PidsLimit: 9,
    Tmpfs: { '/tmp': /nosuid,nodev,mode=1777,size=7$/ },
    RestartPolicy: { Name: 'no' },
  })
  for (const key of ['PortBindings', 'Privileged', 'Binds', 'CapAdd', 'Devices'])
    t.notOk(key in (body.HostConfig ?? {}), key)
  t.notOk('Entrypoint' in body || 'ExposedPorts' in body, 'the image says what runs')
  const bare = containerBody(spec, owner, shape).HostConfig ?? {}
  for (const key of ['Memory', 'PidsLimit', 'CpuQuota']) t.notOk(key in bare, `${key}: absent is no limit`)
  t.match(bare.Tmpfs, { '/tmp': /size=1000000$/ })
})

t.test('a command replaces the entrypoint; ports are published on loopback alone', async (t) => {
  const body = containerBody({ ...spec, command: ['node', 'a'] }, owner, { ...shape, publishes: true })
  t.match(body, { Entrypoint: ['node'], Cmd: ['a'], ExposedPorts: { '3000/tcp': {} } })
  t.same(body.HostConfig?.PortBindings, { '3000/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] })
})

t.test('facts become an instance', async (t) => {
  const end = { code: 0, oomKilled: false, finishedAt: '2026-01-01T00:00:02Z' }
  const facts: Facts = {
    id: 'f'.repeat(64),
    status: 'running',
    startedAt: '2026-01-01T00:00:01.5Z',
    createdAtMs: 5,
    address: '10.0.0.2',
    hostPorts: undefined,
    published: { 80: 1234 },
    end,
  }
  const proof = { workspaceId: 'abcdefgh', generation: 2 }
  const read = (status: string, code = 0, oomKilled = false, asked = '') =>
    instanceOf(proof, { ...facts, status, end: { ...end, code, oomKilled } }, asked, false)
  const mine = incarnationOf(facts.id, facts.startedAt)
  t.same(read('running').reach, { kind: 'address', host: '10.0.0.2' })
  t.same(instanceOf(proof, facts, '', true).reach, { kind: 'ports', host: '127.0.0.1', ports: { 80: 1234 } })
  t.notOk('exit' in read('running'))
  t.match(read('exited', 3), { state: 'failed', exit: { code: 3, oom: false, atMs: 1767225602000 } })
  t.match(read('exited', 0, true), { state: 'stopped', exit: { oom: false } }, 'a child ran out of memory')
  t.match(read('exited', 137, true), { state: 'failed', exit: { code: 137, oom: true } })
  t.match(read('exited', 137, true, mine), { state: 'stopped', exit: { oom: false } }, 'it was asked to end')
  t.match(read('exited', 1, false, 'another'), { state: 'failed' }, 'an older run was asked to end')
  t.match(read('created', 127), { state: 'failed', exit: { code: 127 } })
  t.match(read('created'), { state: 'starting' })
  t.equal(read('paused').state, 'running')
  t.equal(read('dead', 1).state, 'failed')
  t.same(read('exited').reach, { kind: 'none' })
  t.not(incarnationOf(facts.id, '2026-01-01T00:00:01.500000001Z'), mine, 'to the nanosecond')
})

t.test('only both ids, the role and the very name prove a thing ours', async (t) => {
  const labels = labelsOf(owner, spec.id, 3, 'network')
  const name = nameOf(owner, spec.id, 'network')
  t.same(proofOf(owner, 'network', name, labels), { workspaceId: spec.id, generation: 3 })
  for (const key of Object.keys(labels)) {
    t.equal(proofOf(owner, 'network', name, { ...labels, [key]: 'other' }), undefined, `another ${key}`)
    t.equal(proofOf(owner, 'network', name, { ...labels, [key]: '' }), undefined, `an empty ${key}`)
  }
  t.equal(proofOf(owner, 'network', `${name}x`, labels), undefined)
  t.equal(proofOf(owner, 'network', name, null), undefined)
  t.equal(namesOf(owner, spec.id).bridge.length, 15)
  t.not(namesOf({ ...owner, hostId: 'b' }, spec.id).bridge, namesOf(owner, spec.id).bridge)
})

t.test('a block is free, inside the pool, and the pool is used up to the last', async (t) => {
  const pool = parseBlock('10.213.0.0/20') as Block
  fc.assert(
    fc.property(fc.nat(), fc.array(fc.nat(511)), fc.constantFrom(26, 28, 29), (start, taken, prefix) => {
      const used = taken.map((at) => ({ base: pool.base + at * 8, prefix: 29 }))
      const block = freeBlock(pool, prefix, start, used)
      if (block === undefined) return used.length > 0
      return (
        overlaps(block, pool) &&
        !used.some((one) => overlaps(one, block)) &&
        printBlock(block).endsWith(`/${prefix}`)
      )
    }),
  )
  const small = parseBlock('10.0.0.0/24') as Block
  const used: Block[] = []
  for (let block = freeBlock(small, 28, 5, used); block !== undefined; block = freeBlock(small, 28, 5, used))
    used.push(block)
  t.equal(used.length, 16)
  t.equal(freeBlock(small, 28, 0, [parseBlock('10.0.0.0/8') as Block]), undefined, 'a wider one takes it all')
  for (const bad of ['10.0.0.1/24', '10.0.0/24', '256.0.0.0/8', '10.0.0.0/33', 'x'])
    t.equal(parseBlock(bad), undefined, bad)
})

t.test('blocks that the machine routes elsewhere are seen', async (t) => {
  const table = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'vpn0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0',
    'pst1\t1000D50A\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0',
  ].join('\n')
  t.same(routedBlocks(table, parseBlock('10.213.0.0/16') as Block).map(printBlock), ['10.213.0.16/28'])
  t.same(routedBlocks('', parseBlock('10.213.0.0/16') as Block), [])
})

t.test('settings: defaults, and every problem at once', async (t) => {
  t.match(parseConfig(undefined), {
    socketPath: '/var/run/docker.sock',
    subnetPool: '10.213.0.0/16',
    subnetPrefix: 28,
  })
  t.match(parseConfig({ tmpBytes: 1 << 20 }), { tmpBytes: 1 << 20, pull: 'missing', firewall: 'managed' })
  const bad = {
    socket: '/x',
    socketPath: 'relative',
    host: 'tcp://10.0.0.1:2375',
    subnetPool: '10.213.0.1/16',
    subnetPrefix: 30,
    tmpBytes: -1,
    pull: 'sometimes',
    publishOnLoopback: 'yes',
    firewall: true,
    toString: 1,
  }
  const problems = (() => {
    try {
      return parseConfig(bad) && ''
    } catch (err) {
      return (err as Error).message
    }
  })()
  for (const key of Object.keys(bad)) t.match(problems, `docker.${key} `)
  t.throws(() => parseConfig([]), /map/)
})

t.test('missing rules are put in once, before all others', async (t) => {
  const shown = rules.map((rule) =>
    ['-A', rule.chain, ...rule.match, '-m', 'comment', '--comment', rule.comment, '-j', 'DROP'].join(' '),
  )
  t.same(missingRules(shown.join('\n')), [])
  t.same(missingRules(shown.slice(1).join('\n')), [rules[0]])
  t.same(missingRules(shown.join('\n').replaceAll('DOCKER-USER', 'OTHER')).length, 3)
  const asked: string[][] = []
  let now = 0
  const filter = (args: readonly string[]) => Promise.resolve(void asked.push([...args])).then(() => '')
  const firewall = managedFirewall(quietHost().log, () => now, true, filter)
  await Promise.all([firewall.ensure(), firewall.ensure()])
  t.same(asked, [['-w', '5', '-S'], ...rules.map(insertion)], 'two at once look once')
  await firewall.ensure()
  t.equal(asked.length, 5, 'a fresh look is good')
  firewall.doubt()
  await firewall.ensure()
  now += 10_000
  await firewall.ensure()
  t.equal(asked.length, 15)
  t.same(firewall.warnings(), [])
})

t.test('a firewall that can’t be kept warns, with the rules', async (t) => {
  const refusing = () => Promise.reject(new Error('iptables: Permission denied'))
  const firewall = managedFirewall(quietHost().log, () => 0, true, refusing)
  await firewall.ensure()
  t.match(firewall.warnings(), [/Permission denied.*iptables -I INPUT 1 -i pst\+/])
  const unable = managedFirewall(quietHost().log, () => 0, false, refusing)
  await unable.ensure()
  t.match(unable.warnings(), [/does not run as root/])
})

t.test('frames become lines wherever they are cut', async (t) => {
  const frame = (stream: number, text: string) => {
    const head = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0])
    head.writeUInt32BE(Buffer.byteLength(text), 4)
    return Buffer.concat([head, Buffer.from(text)])
  }
  const at = '2026-01-01T00:00:00.5Z'
  const all = Buffer.concat([
    frame(1, `${at} fi`),
    frame(2, `${at} oops\n`),
    frame(1, `rst ž\n${at} \n`),
    frame(1, `${at} last`),
  ])
  for (const size of [1, 7, all.length]) {
    const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, i) =>
      all.subarray(i * size, (i + 1) * size),
    )
    const lines: LogLine[] = []
    for await (const line of linesOf(chunks)) lines.push(line)
    t.same(
      lines.map(({ stream, text }) => [stream, text]),
      [
        ['stderr', 'oops'],
        ['stdout', 'first ž'],
        ['stdout', ''],
        ['stdout', 'last'],
      ],
    )
    t.ok(lines.every(({ atMs }) => atMs === 1767225600500))
  }
})

t.test('the engine’s errors become codes', async (t) => {
  const answer = (statusCode: number, message: string) =>
    Object.assign(new Error('x'), { statusCode, json: { message } })
  const errno = (code: string) => Object.assign(new Error(code), { code })
  const table: [unknown, string][] = [
    [answer(404, 'No such image: nope:1'), 'ERR_IMAGE_UNAVAILABLE'],
    [answer(404, 'No such container: x'), 'ERR_NOT_FOUND'],
    [answer(409, 'Conflict. The container name is already in use'), 'ERR_CONFLICT'],
    [answer(400, 'Minimum memory limit allowed is 6MB'), 'ERR_INVALID_SPEC'],
    [answer(500, 'write /x: no space left on device'), 'ERR_NO_CAPACITY'],
    [answer(500, 'could not find an available, non-overlapping IPv4 address pool'), 'ERR_NO_CAPACITY'],
    [answer(500, 'all predefined address pools have been fully subnetted'), 'ERR_NO_CAPACITY'],
    [answer(500, 'something new'), 'ERR_INTERNAL'],
    [errno('ENOENT'), 'ERR_UNAVAILABLE'],
    [errno('ECONNREFUSED'), 'ERR_UNAVAILABLE'],
    [errno('EACCES'), 'ERR_PERMISSION'],
    [new Error('socket hang up'), 'ERR_UNAVAILABLE'],
    ['nonsense', 'ERR_INTERNAL'],
  ]
  for (const [err, code] of table) {
    const known = engineError(err, 'doing')
    t.equal(known.code, code, known.message)
    t.equal(known.cause, err)
    t.equal(engineError(known, 'again'), known, 'one of ours passes untouched')
  }
})
