/** Something read once from the API: under way, there, or failed, and read again on demand. */
import { asProblem, type ApiProblem } from './problem.ts'

export class Loaded<T> {
  value: T | null = $state.raw(null)
  problem: ApiProblem | null = $state.raw(null)
  #read: (signal: AbortSignal) => Promise<T>
  #running: AbortController | null = null

  constructor(read: (signal: AbortSignal) => Promise<T>) {
    this.#read = read
  }

  /** Reads (again); a reading that is under way is given up. What was there stays until the new answer is. */
  load = async (): Promise<void> => {
    this.#running?.abort()
    const running = new AbortController()
    this.#running = running
    try {
      const value = await this.#read(running.signal)
      if (running.signal.aborted) return
      this.value = value
      this.problem = null
    } catch (err) {
      if (!running.signal.aborted) this.problem = asProblem(err)
    }
  }

  /** Gives a reading that is under way up. */
  close = (): void => this.#running?.abort()
}
