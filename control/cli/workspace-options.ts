/** What the operator lets workspaces have: names, places, sizes, and how long the trash keeps. */
import { availableParallelism, totalmem } from 'node:os'
import { readAmount, readBytes, readCount, readDuration, readNames } from './option-values.ts'
import type { OptionTable } from './options.ts'

export const workspaceOptions = {
  'reserved-names': {
    describe:
      'Names that no workspace or alias may take, beside www, api, mail and such; repeat or separate with commas',
    array: true,
    defaultDescription: 'none',
    read: readNames,
  },
  'max-running': {
    describe: 'Workspaces that may run at once, all users together',
    initial: '100',
    read: readCount,
  },
  'max-running-per-user': {
    describe: 'Workspaces that may run at once, of one user',
    initial: '20',
    read: readCount,
  },
  'max-workspaces-per-user': {
    describe: 'Workspaces that one user may have, running or not',
    initial: '50',
    read: readCount,
  },
  'max-cpu': {
    describe: 'Most CPU cores of one workspace',
    initial: () => String(availableParallelism()),
    defaultDescription: 'the cores of this machine',
    read: readAmount,
  },
  'max-memory': {
    describe: 'Most memory of one workspace, such as 8G',
    initial: () => String(totalmem()),
    defaultDescription: 'the memory of this machine',
    read: readBytes,
  },
  'max-pids': {
    describe: 'Most processes and threads of one workspace',
    initial: '4096',
    read: readCount,
  },
  'max-disk': {
    describe: 'Most disk of one workspace, where a host can hold its size',
    initial: '100G',
    read: readBytes,
  },
  'trash-period': {
    describe: 'How long a deleted workspace can be brought back, such as 7d',
    initial: '7d',
    read: readDuration,
  },
} as const satisfies OptionTable
