/** A code of the closed table goes in, with what is said of this one case; an error on its way to a client comes out. */
import { apiCodes } from './codes.ts'
import type { ApiCode } from './codes.ts'

/** One thing wrong with one field; `path` is dotted, `''` for the whole. */
export interface FieldProblem {
  readonly path: string
  readonly message: string
}

/** RFC 9457, with our members. */
export interface Problem {
  readonly type: 'about:blank'
  readonly status: number
  readonly title: string
  readonly code: ApiCode
  readonly hint: string
  readonly requestId: string
  readonly detail?: string
  readonly errors?: readonly FieldProblem[]
}

/** An error on its way to a client; `detail` is shown to them, `cause` only logged. */
export class ApiError extends Error {
  readonly code: ApiCode
  readonly detail: string | undefined
  readonly errors: readonly FieldProblem[] | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(
    code: ApiCode,
    detail?: string,
    options: { cause?: unknown; errors?: readonly FieldProblem[]; retryAfterSeconds?: number } = {},
  ) {
    super(detail ?? apiCodes[code].summary, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'ApiError'
    this.code = code
    this.detail = detail
    this.errors = options.errors
    this.retryAfterSeconds = options.retryAfterSeconds
  }

  get status(): number {
    return apiCodes[this.code].status
  }

  problem(requestId: string): Problem {
    const row = apiCodes[this.code]
    return {
      type: 'about:blank',
      status: row.status,
      title: row.summary,
      code: this.code,
      hint: row.hint,
      requestId,
      ...(this.detail === undefined ? {} : { detail: this.detail }),
      ...(this.errors === undefined ? {} : { errors: this.errors }),
    }
  }
}
