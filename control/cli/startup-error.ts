/** A reason not to start comes in; one message with code, cause and next step goes to the person, without a stack. */

/** Our own codes → what they mean; a room's codes (control's StartError) come with a message of their own. */
export const startupCodes = {
  config_invalid: 'The configuration is not usable.',
  config_unreadable: 'The configuration file cannot be read.',
  state_unusable: 'The state directory cannot be used.',
  state_in_use: 'Another Postern uses the state directory.',
  access_log_unusable: 'The access log cannot be written.',
  address_in_use: 'The address is taken.',
  address_unusable: 'The address cannot be listened on.',
  plugin_unloadable: 'The runtime plugin cannot be loaded.',
  runtime_permission: 'The runtime may not be used by this user.',
  runtime_unavailable: 'The runtime does not answer.',
  join_refused: 'The server does not take this agent.',
  runtime_unsupported: 'The runtime plugin cannot do that yet.',
  unexpected: 'Something failed that was not foreseen.',
} as const

export type StartupCode = keyof typeof startupCodes

/** Why a command cannot go on: exit code 2. `problems` are shown one a line, `next` is what the person can do. */
export class StartupError extends Error {
  readonly code: string
  readonly problems: readonly string[]
  readonly next: string

  constructor(
    code: StartupCode | (string & {}),
    options: { message?: string; problems?: readonly string[]; next: string; cause?: unknown },
  ) {
    super(
      options.message ?? startupCodes[code as StartupCode],
      options.cause === undefined ? {} : { cause: options.cause },
    )
    this.name = 'StartupError'
    this.code = code
    this.problems = options.problems ?? []
    this.next = options.next
  }
}

/** The message for a terminal; ends with a newline. */
export function describeStartupError(err: StartupError): string {
  const cause = err.cause instanceof Error ? err.cause.message : undefined
  return [
    `postern: ${err.message}`,
    ...err.problems.map((problem) => `  - ${problem}`),
    ...(cause === undefined || err.message.includes(cause) ? [] : [`  cause: ${cause}`]),
    `  code:  ${err.code}`,
    `  next:  ${err.next}`,
    '',
  ].join('\n')
}
