/** What an allowing answer says comes in; it goes out by one write, its head made of texts that are mostly known already. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { identityHeaders } from '../headers/headers.ts'
import type { Scan } from '../headers/scan.ts'
import { type Allowed, always, ownFields, shortFields } from './allow.ts'

/** Node's own place for the head of an answer that is yet to be sent: `headersSent` is its truth. */
export interface WithHead {
  _header: string | null
}

const holdsHead = (res: ServerResponse): res is ServerResponse & WithHead =>
  '_header' in res && res._header === null

/** Anything but text of one line, as Node itself refuses in a field (RFC 9110 §5.5). */
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[^\t\x20-\x7e\x80-\xff]/

/** Fields as text, their names ours; null where a value is none, so that Node refuses it in its own way. */
function textOf(fields: readonly string[]): string | null {
  let text = ''
  for (let i = 0; i < fields.length; i += 2) {
    const value = fields[i + 1] as string
    if (value === '') text += `${fields[i] as string}: \r\n`
    else if (UNSAFE.test(value)) return null
    else text += `${fields[i] as string}: ${value}\r\n`
  }
  return text
}

type Beginnings = WeakMap<readonly string[], string | null>
/** How an answer begins that tells of that user; the same list for as long as the user is the same. */
const beginnings: { readonly full: Beginnings; readonly short: Beginnings } = {
  full: new WeakMap(),
  short: new WeakMap(),
}

function beginningOf(user: readonly string[], short: boolean): string | null {
  const made = short ? beginnings.short : beginnings.full
  let text = made.get(user)
  if (text !== undefined) return text
  const fields = textOf([...always, ...(short ? shortFields(user) : user)])
  // In one piece: it is copied for each answer.
  text = fields === null ? null : Buffer.from(`HTTP/1.1 200 OK\r\n${fields}`, 'latin1').toString('latin1')
  made.set(user, text)
  return text
}

/** The head of an allowing answer as text; null where only Node can say it. */
export function headText(scan: Scan, allowed: Allowed, short: boolean): string | null {
  const beginning = beginningOf(identityHeaders(allowed.identity), short)
  const fields = ownFields(scan, allowed)
  const own = textOf(short ? shortFields(fields) : fields)
  return beginning === null || own === null ? null : `${beginning}${own}\r\n`
}

/** True where an answer's head may be given as text: on a kept HTTP/1.1 connection, by a Node that has a place for it. */
export function takesText(req: IncomingMessage, res: ServerResponse): res is ServerResponse & WithHead {
  return res.shouldKeepAlive && req.httpVersionMajor === 1 && req.httpVersionMinor === 1 && holdsHead(res)
}

/**
 * Answers 200 with that head and an empty body. Node would check and join each field anew for each answer, which takes
 * longer than the decision; so it is given the whole head, without Date and Keep-Alive, which no front reads here.
 */
export function sendText(res: ServerResponse & WithHead, head: string): void {
  res.statusCode = 200
  res._header = head
  res.end()
}
