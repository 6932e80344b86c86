// Pure. The hops of a request, and how its visitor came, come in; the value of `Forwarded` (RFC 7239) comes out.

/**
 * The client first, with the host and the scheme that it asked for, then every believed hop: the same as `X-Forwarded-For`
 * says, whose value `hops` is. What isn't a token is quoted: IPv6 addresses, in brackets (§6), and the host.
 */
export function forwardedOf(hops: string, host: string, proto: 'http' | 'https'): string {
  const [client = '', ...others] = hops.split(', ').map(nodeOf)
  return [`for=${client};host="${host}";proto=${proto}`, ...others.map((hop) => `for=${hop}`)].join(', ')
}

const nodeOf = (ip: string): string => (ip === '' ? 'unknown' : ip.includes(':') ? `"[${ip}]"` : ip)
