/** A query goes in; which page of a list is meant comes out, and the cursor of the next one. */
import { ApiError, pageQuerySchema } from '../wire/index.ts'
import { parseQuery } from './parse.ts'

export interface Page {
  /** The key of the last item of the page before. */
  readonly after: string | undefined
  readonly limit: number
}

/** `?limit=1…500&after=<next of the page before>`. @throws ApiError invalid_body */
export function pageOf(query: URLSearchParams): Page {
  const { limit, after } = parseQuery(pageQuerySchema, query)
  return {
    limit,
    after: after === undefined ? undefined : Buffer.from(after, 'base64url').toString('utf8'),
  }
}

/** The same of a list whose items are numbered, newest first: those before that number. @throws ApiError invalid_body */
export function numberedPageOf(query: URLSearchParams): Page & { readonly before: number | undefined } {
  const page = pageOf(query)
  const before = page.after === undefined ? undefined : Number(page.after)
  if (before !== undefined && !(Number.isSafeInteger(before) && before > 0))
    throw new ApiError('invalid_body', undefined, { errors: [{ path: 'after', message: 'is not a cursor' }] })
  return { ...page, before }
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
