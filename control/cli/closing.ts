/** Parts that have been opened come in, one by one; closed in the opposite order they go out. */

/** Collects what must be closed, newest first; closing twice does it once. */
export class Closing {
  readonly #steps: (() => unknown)[] = []
  #closed: Promise<void> | undefined

  add(step: () => unknown): void {
    this.#steps.push(step)
  }

  /** Runs every step though one fails. @throws the first failure, afterwards. */
  close(): Promise<void> {
    this.#closed ??= this.#run()
    return this.#closed
  }

  async #run(): Promise<void> {
    const failures: unknown[] = []
    for (const step of this.#steps.reverse()) {
      try {
        await step()
      } catch (err) {
        failures.push(err) // the steps after it still matter; told at the end
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  /** Runs `open`; when it fails, closes what was opened before and passes the error on. */
  async guard<T>(open: () => Promise<T>): Promise<T> {
    try {
      return await open()
    } catch (err) {
      await this.close().catch(() => undefined) // the first error says why
      throw err
    }
  }
}
