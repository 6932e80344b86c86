/** The images of the built-in templates, made once a machine; says why not where they can't be had. */
import type Docker from 'dockerode'
import { buildImages } from '../../control/cli/images.ts'

/** Ensures `postern/<name>:1` for each; resolves with the reason when Docker or a package is missing, else null. */
export async function needImages(docker: Docker, names: readonly string[]): Promise<string | null> {
  const lines: string[] = []
  try {
    await buildImages(names, (line) => lines.push(line), docker)
    return null
  } catch (err) {
    return `${(err as Error).message} ${lines.slice(-3).join(' | ')}`.slice(0, 500)
  }
}
