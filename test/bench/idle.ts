/** Row 3: memory of an idle standalone process, and the bytes that a browser fetches to show the dashboard. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { residentBytes } from './cpu.ts'
import { startProduct } from './product.ts'

/** Resident memory of `postern standalone` after `seconds` without work, in bytes. */
export async function idleBytes(seconds: number): Promise<number> {
  const product = await startProduct('process')
  try {
    await pause(seconds * 1000)
    return residentBytes(product.pid)
  } finally {
    await product.stop()
  }
}

/** index.html and all that it names, each gzipped, in bytes; null when the dashboard isn't built. */
export function firstLoadBytes(index: string): number | null {
  if (!existsSync(index)) return null
  const html = readFileSync(index, 'utf8')
  const named = [...html.matchAll(/(?:src|href)="\.?\/?([^":]+\.(?:js|css|svg|ico|woff2))"/g)].map(
    (m) => m[1]!,
  )
  const files = [index, ...new Set(named.map((name) => join(dirname(index), name)))]
  return files.reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0)
}
