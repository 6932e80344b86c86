/** This very file's place comes in; the product's own folder, version and parts come out. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Product {
  readonly root: string
  readonly version: string
  readonly templates: string
  /** Null where the dashboard has not been built. */
  readonly web: string | null
}

/** Finds the product by walking up to its package.json: from the sources and from `dist` alike. */
export function findProduct(from = dirname(fileURLToPath(import.meta.url))): Product {
  for (let folder = from; ; folder = dirname(folder)) {
    const file = join(folder, 'package.json')
    if (existsSync(file)) {
      const { name, version } = JSON.parse(readFileSync(file, 'utf8')) as { name: string; version: string }
      if (name === 'postern') {
        const web = join(folder, 'web', 'dist')
        return {
          root: folder,
          version,
          templates: join(folder, 'control', 'templates'),
          web: existsSync(join(web, 'index.html')) ? web : null,
        }
      }
    }
    if (dirname(folder) === folder) throw new Error(`no package.json of postern above ${from}`)
  }
}
