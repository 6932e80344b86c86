/** Tells whether an image is of today's recipe: the files that it is made from, hashed into a label. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type Docker from 'dockerode'

export const recipeLabel = 'dev.postern.recipe'

/** SHA-256, hex, of the files and of this machine's architecture. */
export async function recipeOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(process.arch)
  for (const file of files) hash.update(await readFile(file))
  return hash.digest('hex')
}

/** True when an image of that tag is here and of that recipe. */
export async function isUpToDate(docker: Docker, tag: string, recipe: string): Promise<boolean> {
  const here = await docker
    .getImage(tag)
    .inspect()
    .catch((err: { statusCode?: number }) => {
      if (err.statusCode === 404) return null
      throw err
    })
  return here?.Config?.Labels?.[recipeLabel] === recipe
}
