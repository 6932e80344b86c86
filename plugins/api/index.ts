/** `@postern/plugin`: all that the author of a runtime plugin imports. */
export * from './spec.ts'
export * from './errors.ts'
export * from './runtime.ts'
export * from './check.ts'
