// Pure. The first bytes of a connection come in; whom a balancer in front says that it is for comes out (PROXY protocol, versions 1 and 2).
import { canonicalAddress } from './trust.ts'

/**
 * What the bytes say: `more` must come; `bad` is no header; else the header's own `length` in bytes, and the address of
 * the client: '' where it is a unix socket, null where the connection speaks for itself (LOCAL, UNKNOWN).
 */
export type ProxyHeader =
  | { readonly kind: 'more' }
  | { readonly kind: 'bad' }
  | { readonly kind: 'header'; readonly length: number; readonly address: string | null }

const MORE: ProxyHeader = { kind: 'more' }
const BAD: ProxyHeader = { kind: 'bad' }

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const WORD = Buffer.from('PROXY ', 'latin1')
/** Of version 1, line end included. */
const LINE_MAX = 107
/** Of version 2, after its first 16 bytes; balancers add some fields of their own, not pages of them. */
const FIELDS_MAX = 2048

const startsLike = (bytes: Buffer, word: Buffer): boolean => {
  const length = Math.min(bytes.length, word.length)
  return bytes.compare(word, 0, length, 0, length) === 0
}

/** Reads the header at the start of `bytes`. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return MORE
  if (startsLike(bytes, WORD)) return bytes.length < WORD.length ? MORE : readLine(bytes)
  if (startsLike(bytes, SIGNATURE)) return bytes.length < 16 ? MORE : readBinary(bytes)
  return BAD
}

const isPort = (text: string): boolean => /^(0|[1-9][0-9]{0,4})$/.test(text) && Number(text) <= 65_535

function readLine(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, LINE_MAX).indexOf('\r\n', 0, 'latin1')
  if (end < 0) return bytes.length < LINE_MAX ? MORE : BAD
  const words = bytes.toString('latin1', 0, end).split(' ')
  const length = end + 2
  const [, family, source = '', target = '', sourcePort = '', targetPort = ''] = words
  if (family === 'UNKNOWN') return { kind: 'header', length, address: null }
  if (words.length !== 6 || !isPort(sourcePort) || !isPort(targetPort)) return BAD
  const isSix = family === 'TCP6'
  if (!isSix && family !== 'TCP4') return BAD
  if (source.includes(':') !== isSix || target.includes(':') !== isSix) return BAD
  const address = canonicalAddress(source)
  return address === null || source.includes('%') || canonicalAddress(target) === null
    ? BAD
    : { kind: 'header', length, address }
}

function readBinary(bytes: Buffer): ProxyHeader {
  const command = bytes.readUInt8(12)
  const family = bytes.readUInt8(13)
  const fields = bytes.readUInt16BE(14)
  if ((command !== 0x20 && command !== 0x21) || fields > FIELDS_MAX) return BAD
  const length = 16 + fields
  if (bytes.length < length) return MORE
  // LOCAL is the balancer's own, such as a look whether we are well; what follows it is skipped unread.
  if (command === 0x20 || family === 0) return { kind: 'header', length, address: null }
  if (family === 0x11) return fields < 12 ? BAD : { kind: 'header', length, address: fourAt(bytes, 16) }
  if (family === 0x21) return fields < 36 ? BAD : { kind: 'header', length, address: sixAt(bytes, 16) }
  if (family === 0x31) return fields < 216 ? BAD : { kind: 'header', length, address: '' }
  return BAD
}

const fourAt = (bytes: Buffer, at: number): string => bytes.subarray(at, at + 4).join('.')

function sixAt(bytes: Buffer, at: number): string {
  const groups: string[] = []
  for (let i = at; i < at + 16; i += 2) groups.push(bytes.readUInt16BE(i).toString(16))
  return canonicalAddress(groups.join(':')) ?? ''
}
