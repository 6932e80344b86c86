// A connection with a request on it and the first bytes of its answer come in; a stream on which that request may be sent "again" comes out.
import { Duplex } from 'node:stream'

/**
 * What the full engine takes for a new connection: the request that it writes first is dropped, as it was sent before, and
 * the answer begins with the bytes that were read already. All that follows is the connection's.
 */
export class Replay extends Duplex {
  readonly #stream: Duplex
  #early: Buffer | null

  constructor(stream: Duplex, early: Buffer) {
    super({ allowHalfOpen: true })
    this.#stream = stream
    this.#early = early
    stream.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) stream.pause()
    })
    stream.on('end', () => this.push(null))
    stream.on('error', (err) => this.destroy(err))
    stream.on('close', () => this.destroy())
    stream.pause()
  }

  override _write(chunk: Buffer, _encoding: string, done: (err?: Error | null) => void): void {
    const early = this.#early
    if (early === null) return void this.#stream.write(chunk, done)
    this.#early = null
    done()
    if (this.push(early)) this.#stream.resume()
  }

  override _read(): void {
    if (this.#early === null) this.#stream.resume()
  }

  override _final(done: () => void): void {
    this.#stream.end()
    done()
  }

  override _destroy(err: Error | null, done: (err: Error | null) => void): void {
    this.#stream.destroy()
    done(err)
  }
}
