/** Messages with fields come in; JSON lines without secrets go to standard output or a file, plain lines to a terminal. */
import { pino } from 'pino'
import type { Logger } from '@postern/plugin'
import { openLogFile } from './log-file.ts'
import { redact, redactText } from './redact.ts'

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** Null: standard output. */
  readonly directory: string | null
  /** Bytes of all files together. */
  readonly maxBytes: number
  /** The file's name without its ending. */
  readonly name: string
}

/** The logger that is handed down to every room. */
export interface RootLog {
  readonly log: Logger
  /** After it, nothing may be logged. */
  close(): void
}

/** Opens the log once for the process. @throws Error of the file system */
export function openLog(options: LogOptions, out: NodeJS.WriteStream = process.stdout): RootLog {
  if (options.directory !== null) {
    const file = openLogFile(options.directory, options.name, options.maxBytes)
    return { log: jsonLogger(options.level, file), close: () => file.close() }
  }
  // On a terminal a person reads: only what needs them, without braces.
  const sink = out.isTTY ? { write: (line: string) => void out.write(plainLine(line)) } : out
  const level = out.isTTY && options.level === 'info' ? 'warn' : options.level
  return { log: jsonLogger(level, sink), close: () => undefined }
}

/** Five methods over pino: the message constant, variables in fields, secrets hidden. */
export function jsonLogger(level: LogOptions['level'], sink: { write(line: string): unknown }): Logger {
  const root = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => void sink.write(line) },
  )
  const wrap = (bound: typeof root): Logger => ({
    debug: (message, fields) =>
      bound.isLevelEnabled('debug') && bound.debug(clean(fields), redactText(message)),
    info: (message, fields) => bound.isLevelEnabled('info') && bound.info(clean(fields), redactText(message)),
    warn: (message, fields) => bound.warn(clean(fields), redactText(message)),
    error: (message, fields) => bound.error(clean(fields), redactText(message)),
    child: (fields) => wrap(bound.child(clean(fields))),
  })
  return wrap(root)
}

const clean = (fields: Readonly<Record<string, unknown>> | undefined) => redact(fields ?? {}) as object

/** `warn agent: docker does not answer (code=ERR_UNAVAILABLE)` */
export function plainLine(json: string): string {
  const { level, msg, time: _time, room, err, ...fields } = JSON.parse(json) as Record<string, unknown>
  const shown = Object.entries(fields).map(([key, value]) => `${key}=${asText(value)}`)
  const cause =
    typeof err === 'object' && err !== null ? [asText((err as { message?: unknown }).message)] : []
  const rest = [...cause, ...shown].join(', ')
  return `${asText(level)} ${room === undefined ? '' : `${asText(room)}: `}${asText(msg)}${rest === '' ? '' : ` (${rest})`}\n`
}

const asText = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
