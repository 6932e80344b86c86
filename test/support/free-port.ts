/** A count comes in; that many ports come out that nothing listens on. */
import { once } from 'node:events'
import { createServer } from 'node:net'

// Below those that systems give to outgoing connections (32768 and up, or 49152): one of those could take the port before
// the program that it is for.
const [FIRST, LAST] = [15_000, 32_000]
const given = new Set<number>()

async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer().listen(port, host)
  const isListening = await once(server, 'listening').then(
    () => true,
    () => false,
  )
  if (!isListening) return false
  server.close()
  await once(server, 'close')
  return true
}

/** A free port, never the same twice in a process. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (given.has(port) || !(await isFree(port, '127.0.0.1')) || !(await isFree(port, '0.0.0.0'))) continue
    given.add(port)
    return port
  }
}

/** `count` of them. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) ports.push(await freePort())
  return ports
}
