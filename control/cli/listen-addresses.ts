/** Configured addresses come in; those that this machine has, and the origin that browsers use, come out. */
import { createServer } from 'node:net'
import type { ListenAddress } from '../../gateway/seams.ts'

/** Leaves out `::1` beside other addresses where the machine has no IPv6. */
export async function usableAddresses(wanted: readonly ListenAddress[]): Promise<readonly ListenAddress[]> {
  const others = wanted.filter((address) => !('host' in address && address.host === '::1'))
  if (others.length === 0 || others.length === wanted.length) return wanted
  return (await hasIpv6Loopback()) ? wanted : others
}

function hasIpv6Loopback(): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer()
    probe.once('error', () => done(false))
    probe.listen(0, '::1', () => probe.close(() => done(true)))
  })
}

/** `http://localhost:<port>` of the first TCP address. */
export function defaultPublicUrl(listen: readonly ListenAddress[]): string {
  const tcp = listen.find((address) => 'port' in address)
  const port = tcp && 'port' in tcp ? tcp.port : 80
  return new URL(`http://localhost:${port}`).origin
}

/** For people: `127.0.0.1:8091`, `[::1]:8091` or the path of a socket. */
export function showAddress(address: ListenAddress): string {
  if ('path' in address) return address.path
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}
