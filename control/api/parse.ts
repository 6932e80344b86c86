/** An unknown value and a schema go in; a typed value comes out, or every problem with its path. */
import type { z } from 'zod'
import { ApiError } from '../wire/index.ts'
import type { FieldProblem } from '../wire/index.ts'

function problems(issues: readonly z.core.$ZodIssue[]): FieldProblem[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String)
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({ path: [...path, key].join('.'), message: 'is not known here' }))
    return [{ path: path.join('.'), message: issue.message }]
  })
}

/** What a query says of the schema's fields, each one's first value; others are nobody's. @throws ApiError invalid_body */
export function parseQuery<T extends z.ZodObject>(schema: T, query: URLSearchParams): z.output<T> {
  const given = Object.keys(schema.shape).flatMap((name) => {
    const value = query.get(name)
    return value === null ? [] : [[name, value] as const]
  })
  return parseBody(schema, Object.fromEntries(given))
}

/** @throws ApiError invalid_body with every problem */
export function parseBody<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new ApiError('invalid_body', undefined, { errors: problems(result.error.issues) })
}
