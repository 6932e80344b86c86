// Facts come in as control sends them; the whole set as it is now goes out, for a worker that is born later.
import type { EdgeFact } from '../../control/wire/index.ts'

/** The last known facts of one gateway, by key. Decides nothing. */
export class HeldFacts {
  epoch = ''
  /** -1: nothing is known yet. */
  revision = -1
  readonly #facts = new Map<string, EdgeFact>()

  reset(epoch: string, revision: number, facts: readonly EdgeFact[]): void {
    this.#facts.clear()
    this.epoch = epoch
    this.revision = revision
    for (const fact of facts) this.#put(fact)
  }

  apply(revision: number, facts: readonly EdgeFact[]): void {
    this.revision = revision
    for (const fact of facts) this.#put(fact)
  }

  all(): readonly EdgeFact[] {
    return [...this.#facts.values()]
  }

  #put(fact: EdgeFact): void {
    if (fact.kind === 'gone') this.#facts.delete(`${fact.of} ${fact.key}`)
    else this.#facts.set('key' in fact ? `${fact.kind} ${fact.key}` : fact.kind, fact)
  }
}
