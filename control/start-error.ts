/** Why control cannot start: a code, a sentence and the fix, for the command line to print before it exits with 2. */

/** Code → the next step for a person, where the message alone does not say it. */
export const startCodes = {
  database_newer:
    'Run the version of Postern that wrote it, or a newer one; or restore a backup of the older version.',
  database_read_only: 'Give the user that runs Postern write permission on the database file and its folder.',
  database_locked: 'Stop the other Postern process that uses this state directory.',
  database_broken: 'Restore the file from a backup; move the broken one away first.',
  database_unreachable: 'Check --database-url, and that the PostgreSQL server runs and lets this user in.',
  state_directory:
    'Choose another --state-directory, or make this one writable for the user that runs Postern.',
  key_missing: 'Restore secrets.key from a backup; it belongs beside the database.',
  key_invalid: 'Restore secrets.key from a backup: it must hold 32 bytes in base64.',
  template_invalid: 'Mend the file, or take its folder out of the template directories.',
} as const satisfies Record<string, string>

export type StartCode = keyof typeof startCodes

/** Thrown by `openControl` alone; `fix` says what to do next. */
export class StartError extends Error {
  readonly code: StartCode
  readonly fix: string

  constructor(code: StartCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'StartError'
    this.code = code
    this.fix = startCodes[code]
  }
}
