// Texts and what was made of them come in; what was used lately comes out again. Bounded by characters; nothing is ever searched through.

/** What was made of texts that come again and again, in two generations: those used since the last turn survive the next. */
export class Recent<T> {
  readonly #maxChars: number
  readonly #charsOf: (key: string, value: T) => number
  #chars = 0
  #young = new Map<string, T>()
  #old = new Map<string, T>()

  /** Keeps `maxChars` as `charsOf` counts them, twice at most. */
  constructor(maxChars: number, charsOf: (key: string, value: T) => number) {
    this.#maxChars = maxChars
    this.#charsOf = charsOf
  }

  get(key: string): T | undefined {
    const held = this.#young.get(key)
    if (held !== undefined) return held
    const older = this.#old.get(key)
    if (older !== undefined) this.set(key, older)
    return older
  }

  set(key: string, value: T): void {
    if (this.#chars >= this.#maxChars) {
      this.#old = this.#young
      this.#young = new Map()
      this.#chars = 0
    }
    this.#young.set(key, value)
    this.#chars += this.#charsOf(key, value)
  }
}
