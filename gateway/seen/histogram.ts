// Durations come in for each request; counts in fixed buckets are kept in one plain array, and samples go out when asked.

/** Upper bounds in ms; what is longer is in the last, unbounded bucket. */
export const BOUNDS_MS: readonly number[] = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000,
]
const BUCKETS = BOUNDS_MS.length + 1
/** The buckets of one row, then the sum of its durations. */
const ROW = BUCKETS + 1

/** Histograms of durations, one a row, all with the same buckets. */
export class Histograms {
  readonly #cells: Float64Array

  constructor(rows: number) {
    this.#cells = new Float64Array(rows * ROW)
  }

  /** Counts one duration in ms. */
  observe(row: number, ms: number): void {
    const cells = this.#cells
    const from = row * ROW
    let at = 0
    while (at < BUCKETS - 1 && ms > (BOUNDS_MS[at] as number)) at++
    cells[from + at] = (cells[from + at] as number) + 1
    cells[from + BUCKETS] = (cells[from + BUCKETS] as number) + ms
  }

  /**
   * The samples of a row that has seen anything, as Prometheus names them (cumulative, seconds); `labels` is the text
   * between the braces, '' for none.
   */
  samples(row: number, labels: string, put: (key: string, value: number) => void): void {
    const from = row * ROW
    let count = 0
    for (let at = 0; at < BUCKETS; at++) count += this.#cells[from + at] as number
    if (count === 0) return
    const before = labels === '' ? '' : `${labels},`
    const around = labels === '' ? '' : `{${labels}}`
    let upTo = 0
    for (let at = 0; at < BUCKETS - 1; at++) {
      upTo += this.#cells[from + at] as number
      put(`_bucket{${before}le="${(BOUNDS_MS[at] as number) / 1000}"}`, upTo)
    }
    put(`_bucket{${before}le="+Inf"}`, count)
    put(`_sum${around}`, (this.#cells[from + BUCKETS] as number) / 1000)
    put(`_count${around}`, count)
  }
}
