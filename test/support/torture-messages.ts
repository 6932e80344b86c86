// Bytes of one direction of an HTTP/1 connection come in, in any pieces; messages come out, read by the letter of RFC 9112.

/** How a message says where it ends. */
export type Framing = 'none' | 'length' | 'chunked' | 'close' | 'tunnel'

/** One request or answer. */
export interface Message {
  /** Request line or status line. */
  readonly line: string
  /** Field lines as they came. */
  readonly fields: readonly string[]
  readonly framing: Framing
  /** Without chunk framing; the first 256 KiB of it. */
  body: string
  bodyBytes: number
  /** Field lines after the last chunk. */
  trailers: string[]
  /** Its end has come. */
  whole: boolean
}

/** All values of a field, in order, whatever the case of its name. */
export function valuesOf(message: { readonly fields: readonly string[] }, name: string): string[] {
  const prefix = `${name.toLowerCase()}:`
  return message.fields
    .filter((field) => field.toLowerCase().startsWith(prefix))
    .map((field) => field.slice(prefix.length).trim())
}

const BODY_KEPT = 256 * 1024

/** What the reader calls, and what it can't know by itself. */
export interface Reading {
  readonly kind: 'request' | 'answer'
  /** True for the answer to a HEAD, by number among the final answers, from 0. */
  readonly isHead?: (nth: number) => boolean
  readonly onHead?: (message: Message) => void
  readonly onWhole?: (message: Message) => void
}

/** Reads messages strictly: what a lenient reader would take is a `fault`, and nothing is read after one. */
export class MessageReader {
  readonly messages: Message[] = []
  /** Why the bytes are not HTTP/1.1; null: they are. */
  fault: string | null = null
  /** Bytes after an upgrade. */
  tunnel = ''
  #pending = ''
  #left = 0
  #state: 'head' | 'length' | 'size' | 'chunk' | 'chunk-end' | 'trailers' | 'close' | 'tunnel' = 'head'
  #finals = 0
  readonly #reading: Reading

  constructor(reading: Reading) {
    this.#reading = reading
  }

  /** Bytes that are no whole head yet. */
  get pending(): string {
    return this.#pending
  }

  push(bytes: string): void {
    this.#pending += bytes
    while (this.fault === null && this.#step());
  }

  /** The connection's end: whole is what is delimited by it. */
  end(): void {
    const last = this.messages.at(-1)
    if (this.#state === 'close' && last !== undefined) this.#finish(last)
  }

  #step(): boolean {
    const last = this.messages.at(-1) as Message
    switch (this.#state) {
      case 'head': {
        const head = this.#until('\r\n\r\n')
        return head !== null && this.#begin(head)
      }
      case 'length':
      case 'chunk': {
        const part = this.#take()
        if (part === 0) return false
        if (this.#left > 0) return true
        if (this.#state === 'length') this.#finish(last)
        else this.#state = 'chunk-end'
        return true
      }
      case 'chunk-end': {
        if (this.#pending.length < 2) return false
        if (!this.#pending.startsWith('\r\n')) return this.#fail('no line end after a chunk')
        this.#pending = this.#pending.slice(2)
        this.#state = 'size'
        return true
      }
      case 'size': {
        const line = this.#until('\r\n')
        if (line === null) return false
        if (!/^[0-9a-f]{1,8}$/i.test(line)) return this.#fail(`chunk size ${JSON.stringify(line)}`)
        this.#left = Number.parseInt(line, 16)
        this.#state = this.#left === 0 ? 'trailers' : 'chunk'
        return true
      }
      case 'trailers': {
        const line = this.#until('\r\n')
        if (line === null) return false
        if (line === '') this.#finish(last)
        else last.trailers.push(line)
        return true
      }
      case 'close':
        this.#left = Number.POSITIVE_INFINITY
        return this.#take() > 0
      case 'tunnel':
        this.tunnel += this.#pending
        this.#pending = ''
        return false
      default:
        return false
    }
  }

  #until(end: string): string | null {
    const at = this.#pending.indexOf(end)
    if (at < 0) return null
    const found = this.#pending.slice(0, at)
    this.#pending = this.#pending.slice(at + end.length)
    return found
  }

  #take(): number {
    const last = this.messages.at(-1) as Message
    const part = this.#pending.slice(0, this.#left)
    this.#pending = this.#pending.slice(part.length)
    this.#left -= part.length
    last.bodyBytes += part.length
    if (last.body.length < BODY_KEPT) last.body += part
    return part.length
  }

  #begin(head: string): boolean {
    const [line = '', ...fields] = head.split('\r\n')
    const isRequest = this.#reading.kind === 'request'
    const start = isRequest
      ? /^[!#$%&'*+.^_`|~0-9A-Z-]+ [\x21-\x7e\x80-\xff]+ HTTP\/1\.1$/
      : /^HTTP\/1\.[01] \d{3} /
    if (!start.test(line)) return this.#fail(`start line ${JSON.stringify(line)}`)
    for (const field of fields)
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/.test(field))
        return this.#fail(`field ${JSON.stringify(field)}`)
    const framing = this.#framingOf(line, fields)
    if (framing === null) return false
    const message: Message = { line, fields, framing, body: '', bodyBytes: 0, trailers: [], whole: false }
    this.messages.push(message)
    this.#state = framing === 'chunked' ? 'size' : framing === 'none' ? 'head' : framing
    this.#reading.onHead?.(message)
    if (framing === 'none' || (framing === 'length' && this.#left === 0)) this.#finish(message)
    return true
  }

  /** RFC 9112 §6.3, without its leniency; null: a fault. */
  #framingOf(line: string, fields: readonly string[]): Framing | null {
    const lengths = valuesOf({ fields }, 'content-length')
    const codings = valuesOf({ fields }, 'transfer-encoding')
    if (lengths.length > 1 || codings.length > 1 || (lengths.length > 0 && codings.length > 0))
      return this.#fault('more than one framing')
    if (lengths[0] !== undefined && !/^\d{1,15}$/.test(lengths[0])) return this.#fault('length')
    if (codings[0] !== undefined && codings[0].toLowerCase() !== 'chunked') return this.#fault('coding')
    this.#left = Number(lengths[0] ?? 0)
    const framing = codings.length > 0 ? 'chunked' : lengths.length > 0 ? 'length' : 'none'
    if (this.#reading.kind === 'request') {
      const isUpgrade = /(?:^|,)\s*upgrade/i.test(valuesOf({ fields }, 'connection').join(','))
      return isUpgrade && framing === 'none' ? 'tunnel' : framing
    }
    return this.#answerFraming(Number(line.slice(9, 12)), framing)
  }

  #answerFraming(status: number, framing: Framing): Framing {
    if (status === 101) return 'tunnel'
    if (status < 200) return 'none'
    const nth = this.#finals++
    if (status === 204 || status === 304 || this.#reading.isHead?.(nth) === true) {
      this.#left = 0
      return 'none'
    }
    return framing === 'none' ? 'close' : framing
  }

  #finish(message: Message): void {
    message.whole = true
    this.#state = 'head'
    this.#reading.onWhole?.(message)
  }

  #fault(why: string): null {
    this.fault = why
    return null
  }
  #fail(why: string): false {
    this.fault = why
    return false
  }
}
