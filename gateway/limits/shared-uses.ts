// What each worker of one gateway holds comes in; what all the others hold together goes to each, so that a cap is one for all of them.

/** What is open of something now. */
export interface Level {
  readonly requests: number
  readonly sockets: number
  readonly connections: number
}
export const NOTHING: Level = { requests: 0, sockets: 0, connections: 0 }

export const useKinds = ['user', 'workspace', 'address'] as const
export type UseKind = (typeof useKinds)[number]

/** What is held of one user, workspace or address, and the upgrades that began since that was said last. */
export interface HeldUse extends Level {
  readonly of: UseKind
  readonly key: string
  readonly upgrades: number
}

/**
 * What others of `workers` are told of a use: nothing below a quarter of an equal share of the cap, as nearly everybody's
 * is. So what is not told is never more than a quarter of the cap, over all workers together.
 */
export function levelOf(use: Level, most: Level, workers: number): Level {
  const shown = (held: number, limit: number): number => (held * 4 * workers < limit ? 0 : held)
  const requests = shown(use.requests, most.requests)
  const sockets = shown(use.sockets, most.sockets)
  const connections = shown(use.connections, most.connections)
  return requests + sockets + connections === 0 ? NOTHING : { requests, sockets, connections }
}

/** The sums of a fleet; `W` is what stands for a worker. */
export class SharedUses<W extends object = object> {
  readonly #held = new Map<string, Map<W, HeldUse>>()

  /** What a worker holds now; what each of `others` is to hear of it. */
  said(worker: W, rows: readonly HeldUse[], others: Iterable<W>): Map<W, HeldUse[]> {
    for (const row of rows) {
      const id = `${row.of} ${row.key}`
      let holders = this.#held.get(id)
      if (holders === undefined) this.#held.set(id, (holders = new Map()))
      if (row.requests + row.sockets + row.connections > 0) holders.set(worker, row)
      else holders.delete(worker)
      if (holders.size === 0) this.#held.delete(id)
    }
    return this.#sums(rows, worker, others)
  }

  /** A worker is gone, with all that it held; what each of `others` is to hear. */
  retire(worker: W, others: Iterable<W>): Map<W, HeldUse[]> {
    const rows = [...this.#held.values()].flatMap((holders) => holders.get(worker) ?? [])
    return this.said(
      worker,
      rows.map((row) => ({ ...row, ...NOTHING, upgrades: 0 })),
      others,
    )
  }

  /** All that a worker who begins is to hear. */
  all(worker: W): HeldUse[] {
    return [...this.#held.values()].map((holders) =>
      this.#sum([...holders.values()][0] as HeldUse, 0, worker),
    )
  }

  #sums(rows: readonly HeldUse[], from: W, others: Iterable<W>): Map<W, HeldUse[]> {
    const told = new Map<W, HeldUse[]>()
    for (const other of others)
      if (other !== from && rows.length > 0)
        told.set(
          other,
          rows.map((row) => this.#sum(row, row.upgrades, other)),
        )
    return told
  }

  #sum({ of, key }: HeldUse, upgrades: number, without: W): HeldUse {
    const sum = { of, key, requests: 0, sockets: 0, connections: 0, upgrades }
    for (const [worker, row] of this.#held.get(`${of} ${key}`) ?? []) {
      if (worker === without) continue
      sum.requests += row.requests
      sum.sockets += row.sockets
      sum.connections += row.connections
    }
    return sum
  }
}
