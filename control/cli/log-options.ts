/** The options of the log; rows of the one table in `options.ts`. */
import { readBytes, readOneOf } from './option-values.ts'
import type { OptionTable } from './options.ts'

export const logOptions = {
  'log-level': {
    describe: 'What is logged: debug, info, warn or error',
    initial: 'info',
    read: readOneOf('debug', 'info', 'warn', 'error'),
  },
  'log-max-size': {
    describe: 'Most bytes that are kept of the log, and of the access log',
    initial: '10M',
    read: readBytes,
  },
} as const satisfies OptionTable
