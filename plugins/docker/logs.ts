/** The engine's log frames of one container come in; whole lines with their time leave. */
import type { Call, LogLine, LogQuery, WorkspaceId } from '@postern/plugin'
import { RuntimeError } from '@postern/plugin'
import { ask } from './engine.ts'
import type { Engine } from './engine.ts'
import { findContainer } from './find.ts'

const DEFAULT_TAIL = 200
const HEADER_BYTES = 8

/** Lines of the program, the oldest first. See `Runtime.logs`. @throws RuntimeError ERR_NOT_FOUND */
export async function* logs(
  engine: Engine,
  id: WorkspaceId,
  query: Call & LogQuery,
): AsyncGenerator<LogLine> {
  const found = await findContainer(engine, id, query)
  if (found === undefined || found === 'foreign')
    throw new RuntimeError('ERR_NOT_FOUND', `There is no instance of ${id}.`)
  const shape = { stdout: true, stderr: true, timestamps: true, tail: query.tail ?? DEFAULT_TAIL }
  const stream = await ask(
    query.signal,
    'read the logs',
    async (abortSignal): Promise<NodeJS.ReadableStream | Buffer> =>
      query.follow === true
        ? found.container.logs({ ...shape, follow: true, abortSignal })
        : found.container.logs({ ...shape, follow: false, abortSignal }),
  )
  try {
    yield* linesOf(Buffer.isBuffer(stream) ? [stream] : (stream as AsyncIterable<Buffer>))
  } catch (err) {
    query.signal.throwIfAborted()
    throw err
  }
  query.signal.throwIfAborted()
}

/** Takes frames (stream, three zeros, length, payload) apart into lines. Source: Docker Engine API, ContainerAttach. */
export async function* linesOf(chunks: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<LogLine> {
  let held: Buffer = Buffer.alloc(0)
  const rest = { stdout: '', stderr: '' }
  for await (const chunk of chunks) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    while (held.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + held.readUInt32BE(4)
      if (held.length < end) break
      const stream = held[0] === 2 ? 'stderr' : 'stdout'
      const lines = (rest[stream] + held.toString('utf8', HEADER_BYTES, end)).split('\n')
      rest[stream] = lines.pop() ?? ''
      for (const line of lines) yield parseLine(stream, line)
      held = held.subarray(end)
    }
  }
  for (const stream of ['stdout', 'stderr'] as const)
    if (rest[stream] !== '') yield parseLine(stream, rest[stream])
}

function parseLine(stream: LogLine['stream'], line: string): LogLine {
  const space = line.indexOf(' ')
  const atMs = Date.parse(line.slice(0, space))
  if (Number.isNaN(atMs)) return { atMs: 0, stream, text: line }
  return { atMs, stream, text: line.slice(space + 1).replace(/\r$/, '') }
}
