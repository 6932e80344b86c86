// Pure. Fields of one connection come in among others (RFC 9110 §7.6.1); what goes on to the next connection comes out.
import { Field, type FieldKind, fieldKind, isProtectedFromConnection } from './fields.ts'

const CONNECTION_DEFAULTS: ReadonlySet<string> = new Set([
  'keep-alive',
  'close',
  'upgrade',
  'te',
  'http2-settings',
])
const NONE: ReadonlySet<string> = new Set()

/** The fields, by small letters, that a Connection header's value takes away with it; those that matter stay. */
export function nominated(connection: string | null): ReadonlySet<string> {
  if (connection === null) return NONE
  const lower = connection.toLowerCase()
  if (lower === 'keep-alive' || lower === 'close' || lower === 'upgrade') return NONE
  const names = new Set<string>()
  for (const token of lower.split(',')) {
    const name = token.trim()
    if (name !== '' && !CONNECTION_DEFAULTS.has(name) && !isProtectedFromConnection(name)) names.add(name)
  }
  return names
}

const ENDS_HERE: ReadonlySet<FieldKind> = new Set([
  Field.hop,
  Field.connection,
  Field.upgrade,
  Field.te,
  Field.trailer,
  Field.expect,
  Field.visitor,
])

/** The fields of a message between a gateway and its server that go on; with `isUpgrade`, those that make a WebSocket too. */
export function endToEnd(raw: readonly string[], isUpgrade: boolean): string[] {
  let connection: string | null = null
  for (let i = 0; i + 1 < raw.length; i += 2)
    if (fieldKind(raw[i] as string) === Field.connection)
      connection = connection === null ? (raw[i + 1] as string) : `${connection}, ${raw[i + 1]}`
  const gone = nominated(connection)
  const out: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    if (!ENDS_HERE.has(fieldKind(name)) && !gone.has(name.toLowerCase())) out.push(name, raw[i + 1] as string)
  }
  if (isUpgrade) out.push('Connection', 'Upgrade', 'Upgrade', 'websocket')
  return out
}
