// Certificate files come in, again when they change; the certificates that serve now come out. What is broken never serves.
import { createHash } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { dirname } from 'node:path'
import type { Logger } from '@postern/plugin'
import {
  type Certificate,
  type CertificateFiles,
  type Certificates,
  certificatesOf,
  loadCertificate,
} from './certificates.ts'

/** A hint of the file system is followed by a look after so long: files are mostly replaced in several steps. */
const SETTLE_MS = 300
/** Looks without a hint: some file systems give none. */
const LOOK_MS = 60_000

const fingerprint = ({ options }: Certificate): string =>
  createHash('sha256')
    .update(`${String(options.cert)}\n${String(options.key)}`)
    .digest('hex')

/** The certificates that serve, kept up with their files. */
export class CertificateStore {
  readonly #files: readonly CertificateFiles[]
  readonly #log: Logger
  readonly #listeners: ((current: Certificates) => void)[] = []
  readonly #watchers: FSWatcher[] = []
  readonly #looking: NodeJS.Timeout
  #current: Certificates
  #settling: NodeJS.Timeout | null = null
  #loading: Promise<void> | null = null
  #isWanted = false
  /** The last thing said of files that don't serve; said once. */
  #complaint = ''

  private constructor(files: readonly CertificateFiles[], current: Certificates, log: Logger) {
    this.#files = files
    this.#current = current
    this.#log = log
    this.#looking = setInterval(() => void this.reload(), LOOK_MS).unref()
    for (const folder of new Set(files.flatMap(({ cert, key }) => [dirname(cert), dirname(key)])))
      this.#watch(folder)
  }

  /** Loads all pairs. @throws CertificateError when one can't be used */
  static async open(files: readonly CertificateFiles[], log: Logger): Promise<CertificateStore> {
    const loaded = await Promise.all(files.map(loadCertificate))
    return new CertificateStore(files, certificatesOf(loaded), log)
  }

  get current(): Certificates {
    return this.#current
  }

  onChange(listener: (current: Certificates) => void): void {
    this.#listeners.push(listener)
  }

  /** Looks at the files now; resolves when what they hold serves, or has been refused and logged. */
  reload(): Promise<void> {
    this.#isWanted = true
    this.#loading ??= this.#load().finally(() => (this.#loading = null))
    return this.#loading
  }

  close(): void {
    clearInterval(this.#looking)
    if (this.#settling !== null) clearTimeout(this.#settling)
    for (const watcher of this.#watchers) watcher.close()
  }

  async #load(): Promise<void> {
    while (this.#isWanted) {
      this.#isWanted = false
      try {
        this.#take(await Promise.all(this.#files.map(loadCertificate)))
      } catch (err) {
        const complaint = (err as Error).message
        if (complaint === this.#complaint) continue
        this.#complaint = complaint
        this.#log.error('changed certificate files are not usable; the old certificate serves on', { err })
      }
    }
  }

  #take(loaded: readonly Certificate[]): void {
    this.#complaint = ''
    const before = this.#current.all
    if (loaded.every((one, index) => fingerprint(one) === fingerprint(before[index] as Certificate))) return
    this.#current = certificatesOf(loaded)
    for (const listener of this.#listeners) listener(this.#current)
    for (const one of loaded)
      this.#log.info('certificate loaded', {
        file: one.files.cert,
        names: one.names.slice(0, 20),
        validTo: new Date(one.validToMs).toISOString(),
      })
  }

  /** A folder, not a file: files are replaced by renaming, and links are set anew. */
  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#hint())
      watcher.on('error', () => undefined) // the regular look goes on
      this.#watchers.push(watcher)
    } catch (err) {
      this.#log.warn('a folder of certificates cannot be watched; it is looked at each minute', { err })
    }
  }

  #hint(): void {
    this.#settling ??= setTimeout(() => {
      this.#settling = null
      void this.reload()
    }, SETTLE_MS).unref()
  }
}
