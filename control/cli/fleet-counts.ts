/** Counts of each worker come in; one Prometheus text of all, ended workers included, goes out. */
import { endedMetrics, renderMetrics } from '../../gateway/index.ts'
import type { MetricsSnapshot } from '../../gateway/seams.ts'

/** A worker that does not answer in this time (ms) is counted by what it said last. */
const ANSWER_MS = 1000

/** Sums the counts of workers; `W` is what stands for one. */
export class CountSum<W extends object = object> {
  readonly #own: () => Promise<string>
  readonly #last = new Map<W, MetricsSnapshot>()
  readonly #waiting = new Map<number, { readonly missing: Set<W>; done(): void }>()
  #ended: MetricsSnapshot = { own: {}, process: [] }
  #asked = 0

  /** `own` is the text of the process above the workers. */
  constructor(own: () => Promise<string>) {
    this.#own = own
  }

  /** What a worker answered to a question; 0: its last words. */
  counted(worker: W, id: number, counts: MetricsSnapshot): void {
    this.#last.set(worker, counts)
    this.#answered(worker, id)
  }

  /** An ended worker's counts stay in the sum, so that none goes down; its gauges go. */
  retire(worker: W): void {
    const last = this.#last.get(worker)
    this.#last.delete(worker)
    for (const id of this.#waiting.keys()) this.#answered(worker, id)
    if (last !== undefined) this.#ended = endedMetrics([this.#ended, last])
  }

  /** Asks all living workers by `ask`, and sums what they say. */
  async text(living: readonly W[], ask: (id: number) => void): Promise<string> {
    const id = ++this.#asked
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve()
      }
      const timer = setTimeout(done, ANSWER_MS)
      this.#waiting.set(id, { missing: new Set(living), done })
      ask(id)
    })
    return `${await renderMetrics([this.#ended, ...this.#last.values()])}${await this.#own()}`
  }

  #answered(worker: W, id: number): void {
    const waiting = this.#waiting.get(id)
    waiting?.missing.delete(worker)
    if (waiting?.missing.size === 0) waiting.done()
  }
}
