/** A query goes in; which page of a list is meant comes out, and the cursor of the next one. */
import { ApiError } from '../wire/index.ts'

const SIZE = 100
const SIZE_MAX = 500

export interface Page {
  /** The key of the last item of the page before. */
  readonly after: string | undefined
  readonly limit: number
}

/** `?limit=1…500&after=<next of the page before>`. @throws ApiError invalid_body */
export function pageOf(query: URLSearchParams): Page {
  const limit = Number(query.get('limit') ?? SIZE)
  if (!Number.isInteger(limit) || limit < 1 || limit > SIZE_MAX)
    throw new ApiError('invalid_body', undefined, {
      errors: [{ path: 'limit', message: `1 to ${SIZE_MAX}` }],
    })
  const cursor = query.get('after')
  return { limit, after: cursor === null ? undefined : Buffer.from(cursor, 'base64url').toString('utf8') }
}

/** One page of what was read with `limit + 1`. */
export function paged<T, V>(
  rows: readonly T[],
  page: Page,
  key: (row: T) => string,
  view: (rows: readonly T[]) => readonly V[],
): { items: readonly V[]; next?: string } {
  const shown = rows.slice(0, page.limit)
  const last = shown.at(-1)
  const items = view(shown)
  if (rows.length <= page.limit || last === undefined) return { items }
  return { items, next: Buffer.from(key(last)).toString('base64url') }
}
