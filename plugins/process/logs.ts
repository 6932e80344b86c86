/** The output of a workspace's program, line by line, from one file of bounded size. */
import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import type { LogLine, LogQuery } from '@postern/plugin'

const LOOK_MS = 200
const CHUNK_BYTES = 64 * 1024

/**
 * The last `tail` lines, then with `follow` those that come, until aborted. Both streams are in one file, so that
 * their order is kept; all lines say `stdout`, and `atMs` is when a line was seen.
 */
export async function* readLog(
  path: string,
  query: LogQuery & { readonly signal: AbortSignal },
  now: () => number,
): AsyncGenerator<LogLine> {
  const { signal, tail = 200, follow = false } = query
  signal.throwIfAborted()
  const start = await tailOf(path, tail)
  for (const text of start.lines) yield { atMs: now(), stream: 'stdout', text }
  let { at, rest } = start
  if (!follow && rest.length > 0)
    yield { atMs: now(), stream: 'stdout', text: decode(rest.toString('latin1')) }
  while (follow) {
    await pause(LOOK_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
    const size = await sizeOf(path)
    // A smaller file is a new one, or one that was cut.
    if (size < at) [at, rest] = [0, Buffer.alloc(0)]
    while (at < size) {
      const chunk = await readAt(path, at, Math.min(CHUNK_BYTES, size - at))
      if (chunk.length === 0) break
      at += chunk.length
      const lines = Buffer.concat([rest, chunk]).toString('latin1').split('\n')
      rest = Buffer.from(lines.pop() ?? '', 'latin1')
      for (const line of lines) yield { atMs: now(), stream: 'stdout', text: decode(line) }
    }
  }
}

function decode(line: string): string {
  return Buffer.from(line, 'latin1').toString('utf8').replace(/\r$/, '')
}

/** The last whole lines of the file, and what follows them. */
async function tailOf(path: string, tail: number): Promise<{ lines: string[]; at: number; rest: Buffer }> {
  const size = await sizeOf(path)
  let at = size
  let text = Buffer.alloc(0)
  while (at > 0 && count(text) <= tail) {
    const length = Math.min(CHUNK_BYTES, at)
    at -= length
    text = Buffer.concat([await readAt(path, at, length), text])
  }
  const lines = text.toString('latin1').split('\n')
  const rest = Buffer.from(lines.pop() ?? '', 'latin1')
  return { lines: (tail === 0 ? [] : lines.slice(-tail)).map(decode), at: size, rest }
}

function count(text: Buffer): number {
  let lines = 0
  for (let at = text.indexOf(10); at >= 0; at = text.indexOf(10, at + 1)) lines++
  return lines
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0, // Nothing has been printed yet.
  )
}

async function readAt(path: string, at: number, length: number): Promise<Buffer> {
  const file: FileHandle = await open(path, 'r')
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, at)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Cuts a log that has grown too large while its program runs: its last part is kept once, beside it. */
export async function cutLog(path: string, logBytes: number): Promise<void> {
  const size = await sizeOf(path)
  if (size <= logBytes) return
  const kept = await open(`${path}.1`, 'w', 0o600)
  const file = await open(path, 'r+')
  try {
    for (let at = size - Math.min(size, logBytes); at < size;) {
      const chunk = await readAt(path, at, Math.min(CHUNK_BYTES, size - at))
      if (chunk.length === 0) break
      await kept.write(chunk)
      at += chunk.length
    }
    // The program appends, so it goes on at the new end.
    await file.truncate(0)
  } finally {
    await kept.close()
    await file.close()
  }
}
