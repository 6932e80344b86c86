/** Pure: the kernel's tables of TCP listeners come in; which of them a connection would reach goes out. */

/** A listening socket. */
export interface Listener {
  readonly family: 4 | 6
  /** Kernel notation, upper-case hexadecimal. */
  readonly address: string
  readonly port: number
  readonly inode: string
}

/** Where to connect to, and the listening sockets that will take it. */
export interface Target {
  readonly host: '127.0.0.1' | '::1'
  readonly inodes: readonly string[]
}

const V4 = { exact: '0100007F', mapped: '0000000000000000FFFF00000100007F', any: '00000000' } as const
const V6 = { exact: '00000000000000000000000001000000', any: '00000000000000000000000000000000' } as const

/** Rows in the state LISTEN of `/proc/net/tcp` or `/proc/net/tcp6`. Source: Linux proc_net_tcp. */
export function parseListeners(table: string, family: 4 | 6): Listener[] {
  const listeners: Listener[] = []
  for (const line of table.split('\n')) {
    const match = /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A (?:\S+\s+){5}(\d+)/.exec(line)
    const [, address, port, inode] = match ?? []
    if (address !== undefined && port !== undefined && inode !== undefined)
      listeners.push({ family, address, port: Number.parseInt(port, 16), inode })
  }
  return listeners
}

/**
 * True when all rows of listening sockets are read: they come first, and a busy machine has thousands of others.
 * Source: Linux net/ipv4/tcp_ipv4.c, tcp_get_idx.
 */
export function endsListening(table: string): boolean {
  return /\n\s*\d+: \S+ \S+ (?!0A)[0-9A-F]{2} /.test(table)
}

/**
 * How to reach a port through sockets that are all our own, or undefined. The most exact address wins in the kernel,
 * so a socket of ours on every address is no way in where somebody else listens on 127.0.0.1 itself.
 */
export function targetOf(
  listeners: readonly Listener[],
  port: number,
  isOwn: (inode: string) => boolean,
): Target | undefined {
  const here = listeners.filter((one) => one.port === port)
  const at = (...addresses: string[]): string[] =>
    here.filter((one) => addresses.includes(one.address)).map((one) => one.inode)
  const takesV4 = [at(V4.exact, V4.mapped), at(V4.any)].find((inodes) => inodes.length > 0)
  if (takesV4?.every(isOwn) === true) return { host: '127.0.0.1', inodes: takesV4 }
  const takesV6 = [at(V6.exact), at(V6.any)].find((inodes) => inodes.length > 0)
  if (takesV6?.every(isOwn) === true) return { host: '::1', inodes: takesV6 }
  return undefined
}

/** Ports that a plain connection to 127.0.0.1 reaches our own sockets on. */
export function portsOnLoopback(
  listeners: readonly Listener[],
  isOwn: (inode: string) => boolean,
): Set<number> {
  const ports = new Set<number>()
  for (const port of new Set(listeners.filter((one) => isOwn(one.inode)).map((one) => one.port))) {
    const target = targetOf(listeners, port, isOwn)
    if (target?.host === '127.0.0.1' || isDualStack(listeners, port, isOwn)) ports.add(port)
  }
  return ports
}

/** Ours on every IPv6 address, and nobody on an IPv4 one: then it takes IPv4 too, or nothing does. */
function isDualStack(
  listeners: readonly Listener[],
  port: number,
  isOwn: (inode: string) => boolean,
): boolean {
  const here = listeners.filter((one) => one.port === port)
  if (here.some((one) => one.family === 4 || one.address === V4.mapped)) return false
  const any = here.filter((one) => one.address === V6.any)
  return any.length > 0 && any.every((one) => isOwn(one.inode))
}
