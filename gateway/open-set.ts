// What is open comes in, and goes by far more often than it stays; what is open now can be gone through.

const PLACE = Symbol('place')

interface Placed {
  [PLACE]?: number
}

/**
 * A set for what comes and goes with each request or connection. A `Set` makes itself anew every few hundred of those,
 * and V8's tables, when left, still point to those that took their place: as soon as one of them has grown old, all
 * members of all later ones are carried along by the collector, long after they have gone. Here a member bears its own
 * place. It may stand in one such set at a time.
 */
export class OpenSet<T extends object> {
  readonly #members: (T & Placed)[] = []

  get size(): number {
    return this.#members.length
  }

  has(member: T & Placed): boolean {
    const place = member[PLACE]
    return place !== undefined && this.#members[place] === member
  }

  /** A second time changes nothing. */
  add(member: T & Placed): void {
    if (this.has(member)) return
    member[PLACE] = this.#members.length
    this.#members.push(member)
  }

  /** True when it was there. */
  delete(member: T & Placed): boolean {
    const place = member[PLACE]
    if (place === undefined || this.#members[place] !== member) return false
    const last = this.#members.pop()!
    if (last !== member) {
      this.#members[place] = last
      last[PLACE] = place
    }
    member[PLACE] = -1
    return true
  }

  clear(): void {
    this.#members.length = 0
  }

  /** The newest first; whatever is deleted meanwhile, all others that were there are given at least once. */
  *[Symbol.iterator](): Generator<T> {
    for (let i = this.#members.length - 1; i >= 0; i--) {
      const member = this.#members[i]
      if (member !== undefined) yield member
    }
  }
}
