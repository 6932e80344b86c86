// Pure. The hops of a request, and how its visitor came, come in; the value of `Forwarded` (RFC 7239) comes out.

/**
 * The client first, with the host and the scheme that it asked for, then every believed hop: the same as `X-Forwarded-For`
 * says, whose value `hops` is. What isn't a token is quoted: IPv6 addresses, in brackets (§6), and the host.
 */
export function forwardedOf(hops: string, host: string, proto: 'http' | 'https'): string {
  const end = hops.indexOf(', ')
  let said = `for=${nodeOf(end < 0 ? hops : hops.slice(0, end))};host="${host}";proto=${proto}`
  if (end >= 0) for (const hop of hops.slice(end + 2).split(', ')) said += `, for=${nodeOf(hop)}`
  return said
}

const nodeOf = (ip: string): string => (ip === '' ? 'unknown' : ip.includes(':') ? `"[${ip}]"` : ip)
