/** Thousands of idle WebSockets through the edge and through nginx in the same run: the memory that each takes. */
import { connect, type Socket } from 'node:net'
import { nginxPart } from '../bench/part.ts'
import { residentBytes as treeBytes } from '../bench/cpu.ts'
import { socketBytes } from '../support/soak-churn.ts'
import { startSoakEdge } from '../support/soak-edge.ts'
import { held, megabytes, type Results } from './table.ts'

const FIRST = 500

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('error', reject)
    socket.once('data', (chunk: Buffer) => {
      if (chunk.toString('latin1', 9, 12) === '101') return resolve(socket)
      reject(new Error(chunk.toString('latin1').slice(0, 200)))
    })
    socket.write(socketBytes('ada'))
  })
}

interface Measured {
  readonly eachBytes: number
  readonly totalBytes: number
}

/** What each of `count` WebSockets adds, after the first few hundred. */
async function measure(port: number, count: number, resident: () => Promise<number>): Promise<Measured> {
  const sockets: Socket[] = []
  const fill = async (to: number): Promise<void> => {
    while (sockets.length < to)
      sockets.push(
        ...(await Promise.all(Array.from({ length: Math.min(50, to - sockets.length) }, () => open(port)))),
      )
  }
  try {
    await fill(FIRST)
    const before = await resident()
    await fill(FIRST + count)
    const totalBytes = await resident()
    return { eachBytes: (totalBytes - before) / count, totalBytes }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/** `count` at once, here and there. */
export async function idleResults(count: number): Promise<Results> {
  const edge = await startSoakEdge()
  const nginx =
    await nginxPart(`server { listen 127.0.0.1:PORT; location / { proxy_pass http://127.0.0.1:${edge.appPort};
    proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    proxy_set_header Host $http_host; proxy_read_timeout 1h; } }`)
  try {
    const port = nginx.ports['main'] ?? 0
    const theirs = await measure(port, count, async () => treeBytes(nginx.pid, true))
    const ours = await measure(edge.port, count, async () => {
      await edge.holding()
      return edge.residentBytes()
    })
    const row = (name: string, { eachBytes, totalBytes }: Measured, isGood = true) => [
      name,
      held((eachBytes / 1000).toFixed(1), isGood),
      megabytes(totalBytes),
    ]
    return {
      title: `${count} idle WebSockets`,
      head: ['kB each', 'process MB'],
      rows: [row('nginx', theirs), row('Postern', ours, ours.eachBytes < theirs.eachBytes)],
    }
  } finally {
    await nginx.stop()
    await edge.close()
  }
}
