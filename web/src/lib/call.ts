/** What the parts of the API's client share: a call, a page of a list, a path with its id. */

/** One page of a list; `next` asks for the following one. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next?: string
}

/** One call of the API. @throws ApiProblem */
export type Call = <T>(method: string, path: string, send?: unknown, signal?: AbortSignal) => Promise<T>

/** A path with its id. */
export function fill(path: string, id: string): string {
  return path.replace(':id', encodeURIComponent(id))
}
