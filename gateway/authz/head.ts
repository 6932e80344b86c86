/** What an allowing answer says comes in; it goes out by one write, its head made of texts that are mostly known already. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { identityHeaders } from '../headers/headers.ts'
import type { Scan } from '../headers/scan.ts'
import { type Allowed, always, ASSERTION, ownFields } from './allow.ts'

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

/** How an answer begins that tells of that user; the same list for as long as the user is the same. */
const beginnings = new WeakMap<readonly string[], string | null>()

function beginningOf(user: readonly string[]): string | null {
  let text = beginnings.get(user)
  if (text !== undefined) return text
  const fields = textOf([...always, ...user])
  // In one piece: it is copied for each answer.
  text = fields === null ? null : Buffer.from(`HTTP/1.1 200 OK\r\n${fields}`, 'latin1').toString('latin1')
  beginnings.set(user, text)
  return text
}

/** The head of an allowing answer as text; null where only Node can say it. */
export function headText(scan: Scan, allowed: Allowed): string | null {
  const beginning = beginningOf(identityHeaders(allowed.identity))
  const own = textOf(ownFields(scan, allowed))
  return beginning === null || own === null
    ? null
    : `${beginning}${ASSERTION}: ${allowed.assertion}\r\n${own}\r\n`
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
