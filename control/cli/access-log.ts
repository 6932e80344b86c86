/**
 * Whole lines come in, one for each request; batches of them go to a file or standard output, by the thread pool. It
 * never waits: where the file is stuck or the disk full, lines are dropped and counted.
 */
import { constants, fstatSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { close, rename, stat, write } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Logger } from '@postern/plugin'
import type { LineSink } from '../../gateway/seams.ts'
import { StartupError } from './startup-error.ts'

/** What is kept in memory at most: one batch that is being written, one that is being filled. */
const BATCH_BYTES = 1024 * 1024
const FLUSH_BYTES = 256 * 1024
/** Lines are joined in such pieces: one by one costs more, and long ones are much for the garbage collector to carry. */
const JOIN_BYTES = 8 * 1024
const FLUSH_MS = 250
/** How often the file is looked at: is it still the one of that name? */
const LOOK_MS = 1000
const CLOSE_MS = 1000
/** A pipe that takes nothing for so long is stuck. */
const STUCK_MS = 1000
const RETRY_MS = 10
/** So much arrives in a pipe in one piece (PIPE_BUF of Linux): the lines of others on it are left whole. */
const PIPE_BYTES = 4096
const NEWLINE = 10

export interface AccessLogOptions {
  /** Path of the file; `-`: standard output. */
  readonly to: string
  /** Of the file and the one before it together; at half of it, the file becomes `<path>.1`. */
  readonly maxBytes: number
  /** Called when writing begins to fail, and when it goes again (null). */
  onTrouble(err: unknown): void
}

interface Batch {
  readonly bytes: Buffer
  used: number
}

const writeAsync = promisify(write)
const statAsync = promisify(stat)
const renameAsync = promisify(rename)
const closeAsync = promisify(close)

const newBatch = (): Batch => ({ bytes: Buffer.allocUnsafeSlow(BATCH_BYTES), used: 0 })

// Without waiting: a named pipe that nobody reads is an error, not a wait.
const openFile = (path: string): number =>
  openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK, 0o600)

function countLines(bytes: Buffer, from: number, to: number): number {
  let lines = 0
  for (let at = bytes.indexOf(NEWLINE, from); at >= 0 && at < to; at = bytes.indexOf(NEWLINE, at + 1)) lines++
  return lines
}

/** The access log of one process. */
export class AccessLog implements LineSink {
  dropped = 0
  readonly #options: AccessLogOptions
  readonly #isFile: boolean
  #file: number
  #size = 0
  /** Lines that are not in the batch yet. */
  #text = ''
  #filling = newBatch()
  #spare: Batch | null = newBatch()
  #writing: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  #lookedMs = 0
  #mustReopen = false
  #isFailing = false
  /** The last write ended inside a line. */
  #isTorn = false
  #isClosed = false

  /** @throws Error of the file system when the file can't be opened */
  constructor(options: AccessLogOptions) {
    this.#options = options
    this.#isFile = options.to !== '-'
    if (this.#isFile) mkdirSync(dirname(options.to), { recursive: true, mode: 0o700 })
    this.#file = this.#isFile ? openFile(options.to) : 1
    if (this.#isFile) this.#size = fstatSync(this.#file).size
    process.on('exit', this.#onExit)
  }

  write(line: string): void {
    if (line.length > BATCH_BYTES - this.#filling.used - this.#text.length || this.#isClosed) {
      this.dropped++
      return
    }
    this.#text += line
    if (this.#text.length >= JOIN_BYTES) {
      this.#join()
      if (this.#filling.used >= FLUSH_BYTES) this.flush()
    }
    if (this.#timer === null) this.#timer = setTimeout(this.flush, FLUSH_MS).unref()
  }

  #join(): void {
    this.#filling.used += this.#filling.bytes.write(this.#text, this.#filling.used, 'latin1')
    this.#text = ''
  }

  /** Begins to write what has come; where a write is under way, that one goes on with it. */
  readonly flush = (): void => {
    this.#join()
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const next = this.#spare
    if (this.#writing !== null || next === null || this.#filling.used === 0) return
    const batch = this.#filling
    this.#filling = next
    this.#spare = null
    this.#writing = this.#writeBatch(batch).finally(() => {
      batch.used = 0
      this.#spare = batch
      this.#writing = null
      // Less than that waits for the timer: small writes, one after the other, cost more than all the rest.
      if (this.#filling.used >= FLUSH_BYTES) this.flush()
      else if (this.#filling.used > 0) this.#timer ??= setTimeout(this.flush, FLUSH_MS).unref()
    })
  }

  /** Opens the file of that name anew with the next batch, as logrotate asks by a signal. */
  reopen(): void {
    this.#mustReopen = true
  }

  /** Writes what is left, for a second at most. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    const late = new Promise<void>((done) => setTimeout(done, CLOSE_MS).unref())
    const rest = async (): Promise<void> => {
      for (;;) {
        this.flush()
        if (this.#writing === null) return
        await this.#writing
      }
    }
    await Promise.race([rest(), late])
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    process.removeListener('exit', this.#onExit)
    if (this.#isFile && this.#writing === null) await closeAsync(this.#file)
  }

  /** What a process that ends by itself has not written yet. */
  readonly #onExit = (): void => {
    this.#join()
    if (this.#writing !== null || this.#filling.used === 0) return
    try {
      writeSync(this.#file, this.#filling.bytes, 0, this.#filling.used)
    } catch {
      // There is nobody left to tell.
    }
  }

  async #writeBatch(batch: Batch): Promise<void> {
    let done = 0
    try {
      if (this.#isFile) await this.#followName(batch.used)
      if (this.#isTorn) await writeAsync(this.#file, '\n')
      this.#isTorn = false
      while (done < batch.used) done += await this.#writeSome(batch, done)
      if (this.#isFailing) this.#options.onTrouble(null)
      this.#isFailing = false
    } catch (err) {
      this.dropped += countLines(batch.bytes, done, batch.used)
      if (done > 0) this.#isTorn = batch.bytes[done - 1] !== NEWLINE
      if (!this.#isFailing) this.#options.onTrouble(err)
      this.#isFailing = true
    }
  }

  async #writeSome(batch: Batch, from: number): Promise<number> {
    let to = batch.used
    if (!this.#isFile && to - from > PIPE_BYTES) {
      const end = batch.bytes.lastIndexOf(NEWLINE, from + PIPE_BYTES - 1)
      if (end >= from) to = end + 1
    }
    for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
      try {
        const { bytesWritten } = await writeAsync(this.#file, batch.bytes, from, to - from, null)
        this.#size += bytesWritten
        return bytesWritten
      } catch (err) {
        // A pipe is full for as long as its reader is behind.
        if ((err as NodeJS.ErrnoException).code !== 'EAGAIN' || waitedMs >= STUCK_MS) throw err
        await pause(RETRY_MS)
      }
    }
  }

  /** Keeps to the file that has the name now, and to the size, `more` bytes being to come. */
  async #followName(more: number): Promise<void> {
    const nowMs = performance.now()
    const most = this.#options.maxBytes / 2
    const isFull = this.#size > 0 && this.#size + more > most
    if (!isFull && !this.#mustReopen && nowMs - this.#lookedMs < LOOK_MS) return
    this.#lookedMs = nowMs
    const named = await statAsync(this.#options.to).catch(() => null)
    const isOurs = named !== null && named.ino === fstatSync(this.#file).ino
    this.#size = isOurs ? named.size : 0
    // Another process of ours may have done it already.
    const isMine = isOurs && named.isFile() && named.size > 0 && named.size + more > most
    if (isMine) await renameAsync(this.#options.to, `${this.#options.to}.1`)
    if (isOurs && !isMine && !this.#mustReopen) return
    this.#mustReopen = false
    const old = this.#file
    this.#file = openFile(this.#options.to)
    this.#size = fstatSync(this.#file).size
    await closeAsync(old)
  }
}

/** What decides where the access log goes. */
export interface AccessLogChoice {
  /** A path, `-`, `off`; null: the usual place. */
  readonly accessLog: string | null
  readonly logDirectory: string | null
  readonly stateDirectory: string
  readonly logMaxSize: number
}

/**
 * Opens the access log where the options say. The usual place is a file of its own, bounded, that is there when one
 * needs to look back and mixes with nothing that a person reads. Null: off.
 * @throws StartupError access_log_unusable
 */
export function openAccessLog(choice: AccessLogChoice, log: Logger): AccessLog | null {
  if (choice.accessLog === 'off') return null
  const { logDirectory, stateDirectory } = choice
  const directory = logDirectory === null || logDirectory === '-' ? stateDirectory : logDirectory
  const to = choice.accessLog ?? join(directory, 'access.log')
  const onTrouble = (err: unknown): void => {
    if (err === null) log.info('the access log is written again', { to })
    else log.warn('the access log cannot be written: its lines are dropped and counted', { to, err })
  }
  try {
    return new AccessLog({ to, maxBytes: choice.logMaxSize, onTrouble })
  } catch (cause) {
    throw new StartupError('access_log_unusable', {
      message: `The access log ${to} cannot be written: ${(cause as Error).message}.`,
      next: 'Give another path with --access-log, - for standard output, or off.',
      cause,
    })
  }
}
