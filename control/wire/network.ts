/** A client's address comes in; whose it is for counting goes out. */

/** The key of a client address in canonical text: IPv6 by its /64, which is one customer's. '' stays ''. */
export function networkOf(ip: string): string {
  if (!ip.includes(':') || ip.startsWith('::ffff:')) return ip
  const [head = '', tail] = ip.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  while (before.length + after.length < 8) before.push('0')
  return `${before.concat(after).slice(0, 4).join(':')}/64`
}
