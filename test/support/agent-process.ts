/** Agents as child processes that can be killed, with a spare that has loaded its modules already. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ChildOrder } from './agent-child.ts'

const program = fileURLToPath(new URL('./agent-child.js', import.meta.url))

export interface AgentProcess {
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves when it is gone. */
  end(): Promise<void>
  /** What it wrote, the last 20 kB. */
  said(): string
}

export interface AgentProcesses {
  start(order: ChildOrder): AgentProcess
  /** Kills the spare, and every agent that two restarts at once have left to itself. */
  close(): Promise<void>
}

interface Stood {
  readonly child: ChildProcess
  readonly said: () => string
}

/** Keeps one spare standing by. */
export function agentProcesses(): AgentProcesses {
  const all: ChildProcess[] = []
  const next = (): Stood => {
    const stood = stand()
    all.push(stood.child)
    return stood
  }
  let spare = next()
  return {
    start(order) {
      const { child, said } = spare
      spare = next()
      child.stdin?.write(`${JSON.stringify(order)}\n`)
      return { kill: () => end(child, 'SIGKILL'), end: () => end(child, 'SIGTERM'), said }
    },
    close: async () => void (await Promise.all(all.map((child) => end(child, 'SIGKILL')))),
  }
}

function stand(): Stood {
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'ignore', 'pipe'] })
  let text = ''
  child.stderr.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(-20_000)))
  child.stdin.on('error', () => undefined) // it may be killed before it has read its order
  return { child, said: () => `${text}(exit ${child.exitCode}, signal ${child.signalCode})` }
}

async function end(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}
