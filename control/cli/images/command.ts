/** Runs another program and passes its lines on; nothing is left running when it fails. */
import { spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'

/** Takes one line of progress. */
export type Write = (line: string) => void

/** True when a program of that name can be started. */
export async function onPath(name: string): Promise<boolean> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const found = await access(join(folder, name), constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return true
  }
  return false
}

/** Resolves with what it printed. @throws Error with its last lines when it ends with another code than 0. */
export async function run(
  program: string,
  args: readonly string[],
  options: { env?: Readonly<Record<string, string>>; write?: Write } = {},
): Promise<string> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  const lines: string[] = []
  const out: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      if (stream === child.stdout) out.push(line)
      options.write?.(`  ${line}`)
    })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${lines.slice(-5).join(' | ')}`)
  return out.join('\n')
}
