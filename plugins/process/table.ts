/**
 * Asks for the machine's listening sockets come in; the kernel's table, read beside the event loop, goes out to all who
 * asked before that read began. One read takes up to 12 ms of a core, however few rows there are.
 */
import { open } from 'node:fs/promises'
import { endsListening, parseListeners } from './sockets.ts'
import type { Listener } from './sockets.ts'

/** The listening sockets of the machine, as those who dial need them. */
export interface ListenerTable {
  /** As they are after this call; who asks while a read runs gets the next one. */
  fresh(): Promise<readonly Listener[]>
  /** The same, or as they were at most `maxAgeMs` ago. */
  recent(maxAgeMs: number): Promise<readonly Listener[]>
}

/** Rows of about this size are read together; those behind the listening ones are many on a busy machine. */
const CHUNK_BYTES = 2_048

async function listeningPart(path: string): Promise<string> {
  const file = await open(path, 'r').catch((err: unknown) => {
    // The kernel has no IPv6.
    if ((err as NodeJS.ErrnoException).code === 'ENOENT' && path.endsWith('6')) return null
    throw err
  })
  if (file === null) return ''
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES)
    let text = ''
    for (;;) {
      const { bytesRead } = await file.read(buffer)
      text += buffer.toString('latin1', 0, bytesRead)
      if (bytesRead === 0 || endsListening(text)) return text
    }
  } finally {
    await file.close()
  }
}

async function readListeners(): Promise<readonly Listener[]> {
  const [v4, v6] = await Promise.all([listeningPart('/proc/net/tcp'), listeningPart('/proc/net/tcp6')])
  return [...parseListeners(v4, 4), ...parseListeners(v6, 6)]
}

/** Begins with nothing read. */
export function openTable(
  read: () => Promise<readonly Listener[]> = readListeners,
  now: () => number = () => performance.now(),
): ListenerTable {
  let running: Promise<readonly Listener[]> | null = null
  let next: Promise<readonly Listener[]> | null = null
  let latest: { readonly rows: readonly Listener[]; readonly begunAtMs: number } | null = null

  async function begin(): Promise<readonly Listener[]> {
    next = null
    const begunAtMs = now()
    running = read()
    try {
      const rows = await running
      latest = { rows, begunAtMs }
      return rows
    } finally {
      running = null
    }
  }

  function fresh(): Promise<readonly Listener[]> {
    if (next !== null) return next
    if (running === null) return begin()
    next = running.then(begin, begin)
    return next
  }

  return {
    fresh,
    recent: (maxAgeMs) =>
      latest !== null && now() - latest.begunAtMs < maxAgeMs ? Promise.resolve(latest.rows) : fresh(),
  }
}
