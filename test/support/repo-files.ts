/** The repository's own files, for tests that read the sources as text. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { productRoot } from './product-process.ts'

export interface SourceFile {
  /** From the repository's root, with slashes. */
  readonly path: string
  readonly text: string
}

const generated = new Set(['node_modules', 'dist', '.git', '.tap', 'coverage'])

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (generated.has(entry.name)) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? walk(path) : [relative(productRoot, path)]
  })
}

/** What git tracks or would track; all files where this is no checkout. */
function listed(): string[] {
  try {
    const words = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
    const out = execFileSync('git', words, { cwd: productRoot, stdio: ['ignore', 'pipe', 'ignore'] })
    return out.toString().split('\0').filter(Boolean)
  } catch {
    return walk(productRoot) // a copy without .git
  }
}

/** Files whose path matches. */
export function sourceFiles(pattern: RegExp): SourceFile[] {
  return listed()
    .filter((path) => pattern.test(path) && existsSync(join(productRoot, path)))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(productRoot, path), 'utf8') }))
}

/** The text without comments, so that prose about a clock is no clock; strings stay. */
export function withoutComments(text: string): string {
  return text.replace(
    /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|(^|[^:\\])\/\/[^\n]*/g,
    (_, string: string | undefined, before: string | undefined) => string ?? before ?? '',
  )
}
