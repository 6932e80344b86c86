/** What went wrong with a call: the server's problem+json as an error, or that no answer could be had. */
import type { FieldProblem, Problem } from '../../../control/wire/api-error.ts'
import type { ApiCode } from '../../../control/wire/codes.ts'

/** A code of the API; `offline` when nothing answered; `unreadable` when the answer was no problem of ours. */
export type ProblemCode = ApiCode | 'offline' | 'unreadable'

/** A refused or failed call: what is so (message), the code, and the next step (hint). */
export class ApiProblem extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly hint: string
  readonly requestId: string
  readonly errors: readonly FieldProblem[]

  constructor(given: {
    code: ProblemCode
    status: number
    message: string
    hint: string
    requestId?: string
    errors?: readonly FieldProblem[]
    cause?: unknown
  }) {
    super(given.message, given.cause === undefined ? {} : { cause: given.cause })
    this.name = 'ApiProblem'
    this.code = given.code
    this.status = given.status
    this.hint = given.hint
    this.requestId = given.requestId ?? ''
    this.errors = given.errors ?? []
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'code' in body && 'title' in body
}

/** The error of an answer that isn't 2xx; anything that isn't a problem document becomes `unreadable`. */
export function problemOf(status: number, body: unknown): ApiProblem {
  if (!isProblem(body))
    return new ApiProblem({
      code: 'unreadable',
      status,
      message: `The server answered ${status} without saying why.`,
      hint: 'A proxy in front of Postern may have answered; try again.',
    })
  return new ApiProblem({
    code: body.code,
    status,
    message: body.detail ?? body.title,
    hint: body.hint,
    requestId: body.requestId,
    errors: body.errors ?? [],
  })
}

/** The error of a call that got no answer at all. */
export function offline(cause: unknown): ApiProblem {
  return new ApiProblem({
    code: 'offline',
    status: 0,
    message: 'The server does not answer.',
    hint: 'Check your network, then try again.',
    cause,
  })
}

/** Anything thrown, as a problem that a page can show. */
export function asProblem(thrown: unknown): ApiProblem {
  if (thrown instanceof ApiProblem) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new ApiProblem({
    code: 'internal',
    status: 0,
    message: `The dashboard failed: ${message}`,
    hint: 'Load the page anew.',
    cause: thrown,
  })
}

/** The first message for a field: `ports.0` takes what is said of `ports.0` and of anything below it. */
export function fieldError(errors: readonly FieldProblem[], path: string): string | undefined {
  return errors.find((e) => e.path === path || e.path.startsWith(`${path}.`))?.message
}

/** Messages for paths that no field of the form shows. */
export function unplaced(errors: readonly FieldProblem[], shown: readonly string[]): FieldProblem[] {
  return errors.filter((e) => !shown.some((path) => e.path === path || e.path.startsWith(`${path}.`)))
}
