/** Log lines come in; two files in a directory, together never larger than a given size, hold the newest of them. */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Takes whole lines. */
export interface LineSink {
  write(line: string): void
  close(): void
}

/** Appends to `<directory>/<name>.log`; at half of `maxBytes` that becomes `<name>.1.log`, and a new one begins. */
export function openLogFile(directory: string, name: string, maxBytes: number): LineSink {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const current = join(directory, `${name}.log`)
  const older = join(directory, `${name}.1.log`)
  let file = openSync(current, 'a', 0o600)
  let size = fstatSync(file).size
  const rotate = () => {
    closeSync(file)
    renameSync(current, older)
    file = openSync(current, 'a', 0o600)
    size = 0
  }
  return {
    write(line) {
      const bytes = Buffer.byteLength(line)
      if (size > 0 && size + bytes > maxBytes / 2) rotate()
      // Synchronous on purpose: the lines before a crash are those that matter.
      writeSync(file, line)
      size += bytes
    },
    close: () => closeSync(file),
  }
}
