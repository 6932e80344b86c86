// A runtime plugin in full: workspaces are children of this process and end with it.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { RuntimeError, assertSpec } from '@postern/plugin'

// Outlives every Runtime: instances live on after `close`.
const world = new Map()
process.on('exit', () => world.forEach((entry) => signalAll(entry, 'SIGKILL')))

function signalAll({ child }, signal) {
  if (!isAlive(child) || child.pid === undefined) return
  try {
    process.kill(-child.pid, signal) // The whole process group.
  } catch {
    // It has just ended.
  }
}

const isAlive = (child) => child.exitCode === null && child.signalCode === null && child.pid !== undefined

function toInstance({ spec, child, incarnation, createdAtMs, ports, stopAsked, exitAtMs }) {
  const shared = { workspaceId: spec.id, generation: spec.generation, incarnation, createdAtMs }
  if (isAlive(child))
    return { ...shared, state: 'running', reach: { kind: 'ports', host: '127.0.0.1', ports } }
  return {
    ...shared,
    state: stopAsked || child.exitCode === 0 ? 'stopped' : 'failed',
    reach: { kind: 'none' },
    exit: { code: child.exitCode, oom: false, atMs: exitAtMs },
  }
}

// A port that is free now.
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

async function launch(owner, spec, now) {
  const ports = {}
  for (const { port } of spec.ports) ports[port] = await freePort()
  const [program = '', ...args] = spec.command ?? []
  const child = spawn(program, args, {
    detached: true,
    stdio: 'ignore',
    // Nothing of Postern's own environment: it may hold secrets.
    env: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      PORT: String(Object.values(ports)[0] ?? ''),
      ...Object.fromEntries(spec.env.map(({ name, value }) => [name, value])),
    },
  })
  const made = { owner, spec, child, ports, incarnation: randomUUID(), createdAtMs: now() }
  const entry = { ...made, stopAsked: false, exitAtMs: 0 }
  child.once('exit', () => (entry.exitAtMs = now()))
  await new Promise((done) => child.once('spawn', done).once('error', done))
  return entry
}

const plugin = {
  apiVersion: 1,
  name: 'minimal',
  capabilities: {},
  config: {
    parse(input) {
      const keys = Object.keys(input ?? {})
      if (keys.length > 0) throw new Error(`There are no settings, and these were given: ${keys.join(', ')}.`)
      return {}
    },
  },

  async open(_config, host) {
    const owner = `${host.deploymentId} ${host.hostId}`
    const keyOf = (id) => `${owner} ${id}`
    const starting = new Map()
    let isClosed = false

    function enter(signal) {
      if (isClosed) throw new RuntimeError('ERR_CLOSED', 'The runtime has been closed.')
      signal.throwIfAborted()
    }

    async function end(entry, graceMs, signal) {
      entry.stopAsked = true
      signalAll(entry, 'SIGTERM')
      for (const from = performance.now(); isAlive(entry.child) && performance.now() - from < graceMs;)
        await pause(10, undefined, { signal }).catch(() => signal.throwIfAborted())
      if (!isAlive(entry.child)) return
      const gone = once(entry.child, 'exit')
      signalAll(entry, 'SIGKILL')
      await gone
    }

    return {
      async health({ signal }) {
        enter(signal)
        return { status: 'healthy', message: 'It runs children of this process.' }
      },
      async list({ signal }) {
        enter(signal)
        return [...world.values()].filter((entry) => entry.owner === owner).map(toInstance)
      },
      async start(spec, { signal }) {
        enter(signal)
        assertSpec(spec)
        if (spec.command === undefined)
          throw new RuntimeError('ERR_INVALID_SPEC', 'It needs a command to run.')
        const old = (await starting.get(spec.id)) ?? world.get(keyOf(spec.id))
        if (old !== undefined && old.spec.generation !== spec.generation)
          throw new RuntimeError('ERR_CONFLICT', 'Another generation is there: remove it first.')
        if (old !== undefined && isAlive(old.child)) return toInstance(old)
        const pending = starting.get(spec.id) ?? launch(owner, spec, host.now)
        starting.set(spec.id, pending)
        const entry = await pending.finally(() => starting.delete(spec.id))
        world.set(keyOf(spec.id), entry)
        return toInstance(entry)
      },
      async stop(id, { signal, graceMs }) {
        enter(signal)
        const entry = world.get(keyOf(id))
        if (entry !== undefined) await end(entry, graceMs, signal)
      },
      async remove(id, { signal }) {
        enter(signal)
        const entry = world.get(keyOf(id))
        if (entry !== undefined) await end(entry, 500, signal)
        world.delete(keyOf(id))
      },
      async close() {
        isClosed = true
      },
    }
  },
}

export default plugin
