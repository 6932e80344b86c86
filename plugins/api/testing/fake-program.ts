/** The program in a fake workspace: a probe in memory that answers HTTP over any stream, and over loopback if asked to. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import type { AddressInfo } from 'node:net'
import type { LogLine } from '../runtime.ts'
import type { WorkspaceSpec } from '../spec.ts'

/** A running program. */
export interface FakeProgram {
  /** TCP port on 127.0.0.1; undefined where it listens in memory only. */
  readonly loopbackPort: number | undefined
  /** A stream to it, as if a socket had been accepted. */
  dial(): Duplex
  /** As SIGTERM does; false when it goes on. */
  terminate(): boolean
  kill(): void
}

/** What a program may touch. */
export interface FakeWorld {
  readonly data: Map<string, string>
  readonly diskBytes: number | undefined
  readonly lines: LogLine[]
  now(): number
  onExit(code: number): void
}

/** Starts the probe with the spec's environment; listens on a loopback port where `listen` is true. */
export async function startFakeProgram(
  spec: WorkspaceSpec,
  world: FakeWorld,
  listen: boolean,
): Promise<FakeProgram> {
  const env = new Map(spec.env.map(({ name, value }) => [name, value]))
  const server = createServer((req, res) => {
    const [key, ...rest] = (req.url?.split('?')[1] ?? '').split('=')
    const body = answer(key ?? '', rest.join('='))
    res.writeHead(body === undefined ? 404 : 200, { 'content-type': 'text/plain' }).end(body ?? '')
  })
  let ended = false

  function end(code: number): void {
    if (ended) return
    ended = true
    server.close()
    server.closeAllConnections()
    world.onExit(code)
  }

  /** The directory of the host that is mounted as its home, if one is. */
  const mounted = spec.mounts?.find(({ target }) => target === env.get('HOME'))

  function fromHost(key: string, name: string, content: string): string | undefined {
    if (mounted === undefined || (key === 'write' && mounted.readOnly === true)) return undefined
    const path = join(mounted.source, name)
    if (key === 'read') return existsSync(path) ? readFileSync(path, 'utf8') : undefined
    writeFileSync(path, content)
    return 'ok'
  }

  /** Whole or not at all, within the size of its disk. */
  function put(name: string, content: string): string | undefined {
    const others = [...world.data].reduce((sum, [key, text]) => sum + (key === name ? 0 : text.length), 0)
    if (others + content.length > (world.diskBytes ?? Infinity)) return undefined
    world.data.set(name, content)
    return 'ok'
  }

  function answer(key: string, value: string): string | undefined {
    const [name = '', ...rest] = value.split('.')
    if (mounted !== undefined && (key === 'read' || key === 'write'))
      return fromHost(key, name, rest.join('.'))
    switch (key) {
      case 'env':
        return env.get(value)
      case 'read':
        return world.data.get(value)
      case 'write':
        return put(name, rest.join('.'))
      case 'fill':
        return put(name, '\0'.repeat(Number(rest[0])))
      case 'print':
        world.lines.push({ atMs: world.now(), stream: 'stdout', text: value })
        return 'ok'
      case 'exit':
        setImmediate(end, Number(value))
        return 'ok'
      default:
        return 'ready'
    }
  }

  const loopbackPort = listen ? await listenOnLoopback(server) : undefined
  return {
    loopbackPort,
    dial() {
      const [near, far] = duplexPair()
      server.emit('connection', far)
      return near
    },
    terminate() {
      const manner = env.get('PROBE_TERM')
      if (manner === 'ignore') return false
      if (manner === 'linger') world.data.set('lingered', '1')
      end(0)
      return true
    },
    kill: () => end(137),
  }
}

async function listenOnLoopback(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  server.unref()
  return (server.address() as AddressInfo).port
}

/** Two streams, each of which reads what the other one writes. */
function duplexPair(): [Duplex, Duplex] {
  const ends: Duplex[] = []
  const resume: ((() => void) | undefined)[] = []
  const make = (own: 0 | 1): Duplex =>
    new Duplex({
      read() {
        const go = resume[own]
        resume[own] = undefined
        go?.()
      },
      write(chunk: Buffer, _encoding, callback) {
        const other = ends[1 - own]
        if (other === undefined || other.destroyed) callback(new Error('the other end is gone'))
        else if (other.push(chunk)) callback()
        else resume[1 - own] = callback
      },
      final(callback) {
        ends[1 - own]?.push(null)
        callback()
      },
      destroy(error, callback) {
        const other = ends[1 - own]
        if (other !== undefined && !other.destroyed) setImmediate(() => other.destroy())
        callback(error)
      },
    })
  const [near, far] = [make(0), make(1)]
  ends.push(near, far)
  return [near, far]
}
