/** A tool of the system (util-linux, e2fsprogs) and its arguments go in; it has done its work, or a coded error says why not. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { RuntimeError } from '@postern/plugin'
import type { RuntimeCode } from '@postern/plugin'

const run = promisify(execFile)

/** Where Debian and others keep them; what the operator set as `path` is for workspaces. */
const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

const byWords: readonly (readonly [RegExp, RuntimeCode])[] = [
  [/no space left on device|failed to setup loop|could not find any free loop/i, 'ERR_NO_CAPACITY'],
  [/is busy|already mounted/i, 'ERR_CONFLICT'],
  [/permission denied|must be superuser|operation not permitted/i, 'ERR_PERMISSION'],
]

/**
 * Runs it to its end, whatever becomes of the call: a file system that is cut short in its making is no use.
 * @throws RuntimeError with what the tool said
 */
export async function tool(program: string, args: readonly string[]): Promise<void> {
  try {
    await run(program, args, { env: ENV, cwd: '/' })
  } catch (cause) {
    const { code, stderr = '', stdout = '' } = cause as { code?: unknown; stderr?: string; stdout?: string }
    if (code === 'ENOENT')
      throw new RuntimeError('ERR_UNSUPPORTED', `This machine has no ${program}.`, {
        cause,
        fix: 'Install e2fsprogs and util-linux.',
      })
    const said = (stderr.trim() || stdout.trim() || String(code)).replaceAll(/\s+/g, ' ').slice(0, 500)
    const known = byWords.find(([words]) => words.test(said))?.[1] ?? 'ERR_INTERNAL'
    throw new RuntimeError(known, `${program}: ${said}`, { cause })
  }
}
