// A connection comes in; until somebody proves on it who they are, it counts against its address.
import type { Use } from './caps.ts'

/** Over the cap, the first request must be there after so long, and prove who it is from. */
const PATIENCE_MS = 5000

/** A connection on which nobody has proved who they are. */
export class Guest {
  /** One too many of its address: only somebody who is signed in, or signs in, is served on it. */
  readonly isOver: boolean
  readonly #use: Use
  readonly #end: () => void
  #timer: NodeJS.Timeout | null = null
  #isCounted = true

  /** `end` is called when it is over the cap and shows nothing, or must make room. */
  constructor(use: Use, most: number, end: () => void) {
    this.#use = use
    this.#end = end
    use.connections++
    this.isOver = use.connections + use.elsewhere.connections > most
    if (!this.isOver) return
    this.#timer = setTimeout(end, PATIENCE_MS).unref()
    ;(use.over ??= new Set()).add(this)
  }

  /** Somebody has proved who they are, or the connection is gone. */
  release(): void {
    if (!this.#isCounted) return
    this.#isCounted = false
    this.#use.connections--
    this.#use.over?.delete(this)
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Ends the connection. */
  end(): void {
    this.release()
    this.#end()
  }
}
