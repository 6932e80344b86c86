/** A command of the built CLI runs as a child process; what it prints is kept, and it is always ended. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from './until.ts'

/** The product's folder, from `dist/test/support`. */
export const productRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
export const cliPath = join(productRoot, 'dist', 'control', 'cli', 'main.js')

export interface CliOptions {
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Home of the child, so that no file of the person who runs the tests is read. */
  readonly home: string
  readonly uid?: number
  readonly gid?: number
  /** Another copy of the product. */
  readonly cli?: string
  readonly cwd?: string
}

/** A running or ended command. */
export class CliProcess {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>

  constructor(options: CliOptions) {
    const { uid, gid } = options
    this.child = spawn(process.execPath, [options.cli ?? cliPath, ...options.args], {
      cwd: options.cwd ?? options.home,
      env: {
        PATH: process.env['PATH'],
        HOME: options.home,
        ...(process.env['DOCKER_HOST'] === undefined ? {} : { DOCKER_HOST: process.env['DOCKER_HOST'] }),
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    })
    this.child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()))
    this.child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()))
    this.ended = once(this.child, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
    }))
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** Waits for a line of standard output. @throws Error with all that it printed, when it ends before that */
  async printed(pattern: RegExp, timeoutMs = 30_000): Promise<RegExpExecArray> {
    const found = await until(() => pattern.exec(this.stdout) ?? (this.running ? null : 'ended'), {
      timeoutMs,
      what: `${pattern.source} from the command`,
    }).catch((cause: unknown) => cause as Error)
    if (Array.isArray(found)) return found
    const cause = found instanceof Error ? found : new Error('it ended before that')
    throw new Error(`no ${pattern.source} from the command:\n${this.stdout}\n${this.stderr}`, { cause })
  }

  /** Sends the signal and waits for the end; after 15 s it is killed. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ code: number | null; signal: string | null }> {
    if (this.running) this.child.kill(signal)
    const force = setTimeout(() => this.child.kill('SIGKILL'), 15_000)
    const result = await this.ended
    clearTimeout(force)
    return result
  }
}
