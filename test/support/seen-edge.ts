/** What an edge under test says of itself: its metrics by name and labels, its access lines, requests that are held open. */
import type { EdgeUnderTest } from './gateway-edge.ts'
import {
  ask,
  rawClient,
  type RawClient,
  requestBytes,
  type Script,
  type SeenRequest,
} from './gateway-bytes.ts'

/** The value of one sample of `/metrics`, 0 where it isn't there; `key` such as `postern_gateway_capped_total{code="x"}`. */
export async function metric(edge: EdgeUnderTest, key: string): Promise<number> {
  const { body } = await ask(edge.authzPort, { host: 'x', path: '/metrics' })
  const line = body.split('\n').find((text) => text.startsWith(`${key} `))
  return line === undefined ? 0 : Number(line.slice(key.length + 1))
}

/** An upstream that answers `/held…` only when told to, and all else at once. */
export function holdingScript(answer: string): { script: Script; held: SeenRequest[]; free(): void } {
  const held: SeenRequest[] = []
  return {
    held,
    free() {
      for (const { socket } of held.splice(0)) socket.write(answer)
    },
    script(request) {
      if (/^\S+ \/held/.test(request.head)) held.push(request)
      else request.socket.write(answer)
    },
  }
}

/** Opens a request on a connection of its own and leaves it. */
export async function begin(port: number, host: string, headers: readonly string[]): Promise<RawClient> {
  const client = await rawClient(port)
  client.send(requestBytes({ host, path: '/held', headers }))
  return client
}

/** Access lines, parsed as they come. */
export function memoryAccessLog(): {
  readonly lines: Readonly<Record<string, unknown>>[]
  readonly texts: string[]
  readonly dropped: number
  write(line: string): void
} {
  const lines: Readonly<Record<string, unknown>>[] = []
  const texts: string[] = []
  return {
    lines,
    texts,
    dropped: 0,
    write(line) {
      texts.push(line)
      lines.push(JSON.parse(line) as Record<string, unknown>)
    },
  }
}
