/** A second host in a network namespace of its own, reached from this machine by a cable: what lies outside for workspaces. */
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'

export interface OutsideHost {
  readonly address: string
  readonly port: number
  close(): void
}

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: 'pipe' })

/** Starts it with a program that answers every HTTP request. Needs root; the block is TEST-NET-2 (RFC 5737). */
export async function outsideHost(): Promise<OutsideHost> {
  const word = randomBytes(3).toString('hex')
  const [name, near, far] = [`out${word}`, `oa${word}`, `ob${word}`] as const
  const third = randomBytes(1)[0] ?? 0
  const address = `198.51.100.${(third & 0xfc) + 2}`
  ip('netns', 'add', name)
  ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', name)
  ip('addr', 'add', `198.51.100.${(third & 0xfc) + 1}/30`, 'dev', near)
  ip('link', 'set', near, 'up')
  ip('-n', name, 'addr', 'add', `${address}/30`, 'dev', far)
  ip('-n', name, 'link', 'set', far, 'up')
  const program = `require('http').createServer((q, s) => s.end('outside')).listen(80, '${address}', () => console.log('up'))`
  const child = spawn('ip', ['netns', 'exec', name, process.execPath, '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return {
    address,
    port: 80,
    close() {
      child.kill('SIGKILL')
      ip('netns', 'del', name)
    },
  }
}
