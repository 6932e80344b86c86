/** The options of the audit and of webhooks. */
import { readDuration, readOneOf } from './option-values.ts'

export const auditOptions = {
  'audit-retention': {
    describe: 'How long it is kept who did what, such as 400d',
    initial: '400d',
    read: readDuration,
  },
  'hook-targets': {
    describe: 'Where webhooks may be sent: public addresses only, or any: private and loopback ones too',
    initial: 'public',
    read: readOneOf('public', 'any'),
  },
} as const
