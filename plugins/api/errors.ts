/** The closed table of what may go wrong in a runtime, and whether trying again may help. */

/** Code → is it worth trying again with nothing changed, and a sentence for people. */
export const runtimeCodes = {
  ERR_INVALID_SPEC: {
    retryable: false,
    summary: 'The spec, or the operator’s settings, are not ones that this runtime can make.',
  },
  ERR_UNSUPPORTED: {
    retryable: false,
    summary: 'This runtime does not have the ability that was asked for.',
  },
  ERR_CONFLICT: { retryable: true, summary: 'Something else stands where the instance should be made.' },
  ERR_NOT_FOUND: { retryable: false, summary: 'There is no such instance or port.' },
  ERR_IMAGE_UNAVAILABLE: { retryable: true, summary: 'The image is not here and could not be had.' },
  ERR_PROGRAM_UNAVAILABLE: {
    retryable: true,
    summary: 'The program is not on the host, or the workspace’s user may not run it.',
  },
  ERR_NO_CAPACITY: {
    retryable: true,
    summary: 'The host has no room for it: disk, memory, addresses or processes.',
  },
  ERR_PERMISSION: { retryable: false, summary: 'The agent is not allowed to use the runtime.' },
  ERR_UNAVAILABLE: { retryable: true, summary: 'The runtime does not answer.' },
  ERR_TIMEOUT: { retryable: true, summary: 'It took longer than the deadline.' },
  ERR_CLOSED: { retryable: false, summary: 'The runtime has been closed.' },
  ERR_INTERNAL: { retryable: true, summary: 'The plugin failed in a way that it did not foresee.' },
} as const satisfies Record<string, { retryable: boolean; summary: string }>

export type RuntimeCode = keyof typeof runtimeCodes

const brand = Symbol.for('postern.RuntimeError')

/** An error of a runtime, told apart by `code`; `fix` is the next step for a person, where there is one. */
export class RuntimeError extends Error {
  readonly code: RuntimeCode
  readonly fix: string | undefined

  constructor(code: RuntimeCode, message: string, options: { cause?: unknown; fix?: string } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'RuntimeError'
    this.code = code
    this.fix = options.fix
    Object.defineProperty(this, brand, { value: true })
  }

  /** Looked up, never chosen by who throws. */
  get retryable(): boolean {
    return runtimeCodes[this.code].retryable
  }

  /** True also for errors made by another copy of this package. */
  static is(value: unknown): value is RuntimeError {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true
  }
}
