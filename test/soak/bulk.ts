/** Gigabytes up and down through the edge, and readers that don't read: its memory, and what another visitor feels. */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fieldsOf, startSoakEdge, type SoakEdge } from '../support/soak-edge.ts'
import { besieged } from '../support/soak-siege.ts'
import { held, megabytes, type Results } from './table.ts'

const CHUNK = Buffer.alloc(64 * 1024, 'x')
/** Over what the process has at rest. */
const MEMORY_BYTES = 150e6

/** Reads an answer to its end; gives the bytes of its body. */
async function download(edge: SoakEdge, bytes: number): Promise<number> {
  const socket = connect({ port: edge.port, host: '127.0.0.1' })
  socket.write(`GET /bytes/${bytes} HTTP/1.1\r\n${fieldsOf('ada')}Connection: close\r\n\r\n`)
  let got = 0
  let head = ''
  socket.on('data', (chunk: Buffer) => {
    if (head.includes('\r\n\r\n')) return void (got += chunk.length)
    head += chunk.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end >= 0) got += head.length - end - 4
  })
  await once(socket, 'close')
  return got
}

/** Sends a body; gives the count that the app says. */
async function upload(edge: SoakEdge, bytes: number): Promise<number> {
  const socket = connect({ port: edge.port, host: '127.0.0.1' })
  let said = ''
  socket.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
  const origin = 'Origin: http://soak.ws.localhost:8090\r\n'
  socket.write(
    `POST /sink HTTP/1.1\r\n${fieldsOf('ada')}${origin}Content-Length: ${bytes}\r\nConnection: close\r\n\r\n`,
  )
  for (let left = bytes; left > 0; left -= CHUNK.length)
    if (!socket.write(left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK)) await once(socket, 'drain')
  await once(socket, 'close')
  return Number(said.slice(said.indexOf('\r\n\r\n') + 4).replace(/^[0-9a-f]+\r\n(\d+)\r\n.*$/s, '$1'))
}

/** `bytes` each way, one after the other. */
export async function bulkResults(bytes: number): Promise<Results> {
  const edge = await startSoakEdge()
  try {
    const rows: Results['rows'][number][] = []
    for (const [name, move] of [
      ['down', download],
      ['up', upload],
    ] as const) {
      await move(edge, 50e6)
      const before = edge.residentBytes()
      const began = performance.now()
      const cpuMs = (await edge.holding()).cpuMs
      const { result, peakBytes, p50Ms, p99Ms } = await besieged(edge, move(edge, bytes))
      const seconds = (performance.now() - began) / 1000
      const usedMs = (await edge.holding()).cpuMs - cpuMs
      rows.push([
        `${(bytes / 1e9).toFixed(1)} GB ${name}`,
        held(result === bytes ? 'whole' : `${result} B`, result === bytes),
        (bytes / 1e6 / seconds).toFixed(0),
        (usedMs / (bytes / 1e6)).toFixed(2),
        held(megabytes(peakBytes - before), peakBytes - before < MEMORY_BYTES),
        megabytes(peakBytes),
        `${p50Ms.toFixed(1)} / ${p99Ms.toFixed(1)}`,
      ])
    }
    const head = ['arrived', 'MB/s', 'CPU ms/MB', 'memory, MB more', 'peak MB', 'another’s p50 / p99 ms']
    return { title: 'bulk', head, rows }
  } finally {
    await edge.close()
  }
}

const P99_SLACK_MS = 25

/** Another visitor's wait before, and while `count` downloads stand still because nobody reads them. */
export async function readerResults(count: number, seconds: number): Promise<Results> {
  const edge = await startSoakEdge()
  try {
    await besieged(edge, pause(1000))
    const quiet = await besieged(edge, pause(seconds * 1000))
    const readers = Array.from({ length: count }, (): Socket => {
      const socket = connect({ port: edge.port, host: '127.0.0.1' })
      socket.pause()
      socket.on('error', () => undefined)
      socket.write(`GET /endless HTTP/1.1\r\n${fieldsOf('ada')}\r\n`)
      return socket
    })
    const filling = await besieged(edge, pause(3000))
    const still = await besieged(edge, pause(seconds * 1000))
    for (const socket of readers) socket.destroy()
    const after = await edge.atRest()
    const row = (name: string, { p50Ms, p99Ms, peakBytes }: typeof quiet, isGood = true) => [
      name,
      p50Ms.toFixed(1),
      held(p99Ms.toFixed(1), isGood),
      megabytes(peakBytes),
    ]
    return {
      title: `${count} readers that don’t read`,
      head: ['another’s p50 ms', 'p99 ms', 'edge MB'],
      rows: [
        row('before', quiet),
        row('while their buffers fill (3 s)', filling),
        row('while they stand', still, still.p99Ms < 3 * quiet.p99Ms + P99_SLACK_MS),
        ['gone: sockets left', held(String(after.resources['TCPSocketWrap'] ?? 0), true), '', ''],
      ],
    }
  } finally {
    await edge.close()
  }
}
