/** Speaks HTTP/1.1 to a probe over any byte stream, as plainly as can be. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { RuntimeError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import type { Instance, WorkspaceId } from '../spec.ts'
import { PROBE_PATH } from './probe.ts'

/** What the probe said. */
export interface Answer {
  readonly status: number
  readonly body: Buffer
}

/** A stream to a port of an instance: by `connect` where the runtime has it, else by its `reach`. */
export async function dial(
  runtime: Runtime,
  id: WorkspaceId,
  port: number,
  signal: AbortSignal,
): Promise<Duplex> {
  if (runtime.connect !== undefined) return runtime.connect(id, port, { signal })
  const instance = (await runtime.list({ signal })).find((one) => one.workspaceId === id)
  if (instance === undefined) throw new RuntimeError('ERR_NOT_FOUND', 'The instance is not listed.')
  return dialReach(instance, port, signal)
}

/** A stream to a port by what `reach` says. @throws RuntimeError ERR_NOT_FOUND where it doesn't say how. */
export async function dialReach(instance: Instance, port: number, signal: AbortSignal): Promise<Duplex> {
  const target = reachOf(instance, port)
  if (target === undefined) throw new RuntimeError('ERR_NOT_FOUND', `reach has no way to port ${port}.`)
  const socket = connect({ ...target, signal })
  await once(socket, 'connect', { signal })
  return socket
}

function reachOf({ reach }: Instance, port: number): { host: string; port: number } | undefined {
  if (reach.kind === 'address') return { host: reach.host, port }
  const mapped = reach.kind === 'ports' ? reach.ports[String(port)] : undefined
  return reach.kind === 'ports' && mapped !== undefined ? { host: reach.host, port: mapped } : undefined
}

/** One question to a probe, one answer; the stream is closed after it. */
export async function askOver(stream: Duplex, question: string, signal: AbortSignal): Promise<Answer> {
  const stop = (): void => void stream.destroy(signal.reason as Error)
  signal.addEventListener('abort', stop, { once: true })
  try {
    stream.write(`GET ${PROBE_PATH}?${question} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n`)
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    return parse(Buffer.concat(chunks))
  } finally {
    signal.removeEventListener('abort', stop)
    stream.destroy()
  }
}

function parse(answer: Buffer): Answer {
  const end = answer.indexOf('\r\n\r\n')
  const head = answer.subarray(0, Math.max(end, 0)).toString('latin1')
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1]
  assert.ok(status !== undefined, `not an HTTP answer: ${answer.subarray(0, 80).toString('latin1')}`)
  const body = answer.subarray(end + 4)
  const isChunked = /^transfer-encoding: *chunked/im.test(head)
  return { status: Number(status), body: isChunked ? dechunk(body) : body }
}

function dechunk(body: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const lineEnd = body.indexOf('\r\n', at)
    const size = Number.parseInt(body.subarray(at, lineEnd).toString('latin1'), 16)
    if (!(size > 0)) break
    parts.push(body.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
  return Buffer.concat(parts)
}
