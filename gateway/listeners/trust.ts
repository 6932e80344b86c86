// Pure. Addresses and CIDR blocks come in; whether a peer is believed, and who the client really is, come out.
import ipaddr from 'ipaddr.js'
import type { Guest } from '../limits/guest.ts'

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number]

/** A set of CIDR blocks, asked by address text; an address that doesn't parse is in none. */
export type Blocks = (address: string) => boolean

/** The connection that a request came on. */
export interface Peer {
  /** Canonical: IPv4 also where it came mapped into IPv6; '' on a unix socket. */
  readonly ip: string
  /** Its forwarded headers are believed. */
  readonly trusted: boolean
  /** TLS ends here. */
  readonly tls?: boolean
  /** Counts it against its address until somebody proves who they are; absent where that isn't counted. */
  readonly guest?: Guest
}

/** The canonical text of an address, zone dropped and mapped IPv4 unmapped; null when it isn't one. */
export function canonicalAddress(text: string): string | null {
  const zone = text.indexOf('%')
  const bare = zone < 0 ? text : text.slice(0, zone)
  if (!ipaddr.IPv4.isValidFourPartDecimal(bare) && !ipaddr.IPv6.isValid(bare)) return null
  return ipaddr.process(bare).toString()
}

/** Reads CIDR blocks or single addresses. @throws TypeError naming the first that is neither. */
export function blocksOf(cidrs: readonly string[]): Blocks {
  const ranges = cidrs.map(rangeOf)
  if (ranges.length === 0) return () => false
  return (address) => {
    const canonical = canonicalAddress(address)
    if (canonical === null) return false
    const parsed = ipaddr.parse(canonical)
    return ranges.some(([base, bits]) => base.kind() === parsed.kind() && parsed.match(base, bits))
  }
}

function rangeOf(cidr: string): Range {
  try {
    if (cidr.includes('/')) return ipaddr.parseCIDR(cidr)
    const address = ipaddr.process(cidr)
    return [address, address.kind() === 'ipv4' ? 32 : 128]
  } catch (err) {
    throw new TypeError(`${cidr} is neither an address nor a CIDR block`, { cause: err })
  }
}

const HOPS_MAX = 32
/** The longest entry that can be an address: a bracketed IPv6 address with zone and port, and room to spare. */
const ENTRY_MAX = 80

/** An entry of `X-Forwarded-For`: some front proxies write the port too (`192.0.2.7:4711`, `[2001:db8::1]:4711`). */
function addressOfEntry(entry: string): string | null {
  if (entry.length > ENTRY_MAX) return null
  const match = /^\[([^\]]*)\](?::[0-9]{1,5})?$|^([0-9.]+):[0-9]{1,5}$/.exec(entry)
  return canonicalAddress(match === null ? entry : (match[1] ?? match[2] ?? ''))
}

/** The client of a request and the hops between it and the peer, nearest the client first. */
export interface Chain {
  readonly client: string
  /** What `X-Forwarded-For` says further on: the client, then every believed hop, the peer last. */
  readonly forwardedFor: string
}

/**
 * Walks `X-Forwarded-For` from right to left, from a believed peer only, up to the first address that isn't believed:
 * that is the client. What stands left of it was the client's own to write.
 */
export function chainOf(peer: Peer, forwardedFor: string | null, trusted: Blocks): Chain {
  if (!peer.trusted || forwardedFor === null) return { client: peer.ip, forwardedFor: peer.ip }
  const hops = peer.ip === '' ? [] : [peer.ip]
  let client = peer.ip
  let end = forwardedFor.length
  while (end >= 0 && hops.length < HOPS_MAX) {
    const comma = end === 0 ? -1 : forwardedFor.lastIndexOf(',', end - 1)
    const entry = addressOfEntry(forwardedFor.slice(comma + 1, end).trim())
    if (entry === null) break
    client = entry
    hops.unshift(entry)
    if (!trusted(entry)) break
    end = comma
  }
  return { client, forwardedFor: hops.join(', ') }
}
