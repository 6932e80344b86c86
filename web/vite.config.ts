/** Builds the dashboard: src in, dist out, with hashed assets and a .br and .gz copy of each text file beside it. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig, type Plugin } from 'vite'

const compressible = /\.(?:html|js|css|svg|webmanifest)$/

/** Writes `<file>.br` and `<file>.gz` for each text file of the output, once it is complete. */
function precompress(): Plugin {
  let outDir = ''
  return {
    name: 'postern-precompress',
    apply: 'build',
    configResolved(config) {
      outDir = join(config.root, config.build.outDir)
      if (config.build.outDir.startsWith('/')) outDir = config.build.outDir
    },
    async closeBundle() {
      const names = await readdir(outDir, { recursive: true })
      for (const name of names.filter((n) => compressible.test(n))) {
        const bytes = await readFile(join(outDir, name))
        const params = {
          [constants.BROTLI_PARAM_QUALITY]: 11,
          [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
        }
        await writeFile(join(outDir, `${name}.br`), await promisify(brotliCompress)(bytes, { params }))
        await writeFile(join(outDir, `${name}.gz`), await promisify(gzip)(bytes, { level: 9 }))
      }
    },
  }
}

export default defineConfig({
  root: import.meta.dirname,
  plugins: [svelte({ configFile: false, compilerOptions: { runes: true } }), precompress()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // A data: URI would be an exception in the content security policy for little gain.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: { '/api': { target: 'http://localhost:8090', ws: true }, '/sign-in': 'http://localhost:8090' },
  },
})
