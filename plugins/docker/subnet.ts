/** Which small IPv4 subnet of the pool a workspace's network gets: blocks in, one free block out. Pure. */

/** An IPv4 block; `base` is the first address as a number. */
export interface Block {
  readonly base: number
  readonly prefix: number
}

/** Parses `a.b.c.d/n` whose host bits are zero; undefined when it isn't one. */
export function parseBlock(text: string): Block | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text)
  if (match === null) return undefined
  const [a, b, c, d, prefix] = match.slice(1).map(Number) as [number, number, number, number, number]
  if ([a, b, c, d].some((octet) => octet > 255) || prefix > 32) return undefined
  const base = ((a * 256 + b) * 256 + c) * 256 + d
  return base % sizeOf(prefix) === 0 ? { base, prefix } : undefined
}

/** `a.b.c.d/n`. */
export function printBlock({ base, prefix }: Block): string {
  const octets = [base / 2 ** 24, base / 2 ** 16, base / 2 ** 8, base].map((part) => Math.floor(part) % 256)
  return `${octets.join('.')}/${prefix}`
}

/** True when the two have an address in common. */
export function overlaps(a: Block, b: Block): boolean {
  return a.base < b.base + sizeOf(b.prefix) && b.base < a.base + sizeOf(a.prefix)
}

/**
 * The first block of `prefix` in `pool`, counted from `start` (any whole number) and around, that overlaps none of
 * `used`; undefined when the pool is full.
 */
export function freeBlock(
  pool: Block,
  prefix: number,
  start: number,
  used: readonly Block[],
): Block | undefined {
  const size = sizeOf(prefix)
  const count = sizeOf(pool.prefix) / size
  const taken = new Set<number>()
  for (const block of used) {
    const first = Math.max(0, Math.floor((block.base - pool.base) / size))
    const last = Math.min(count - 1, Math.floor((block.base + sizeOf(block.prefix) - 1 - pool.base) / size))
    for (let at = first; at <= last; at++) taken.add(at)
  }
  for (let step = 0; step < count; step++) {
    const at = (start + step) % count
    if (!taken.has(at)) return { base: pool.base + at * size, prefix }
  }
  return undefined
}

/**
 * Blocks that the machine routes somewhere already, from the text of `/proc/net/route`. Routes as wide as the pool
 * or wider are left out: ours, being narrower, win over them.
 */
export function routedBlocks(table: string, pool: Block): Block[] {
  const blocks: Block[] = []
  for (const line of table.split('\n').slice(1)) {
    const cells = line.split(/\s+/)
    const [destination, mask] = [littleEndian(cells[1]), littleEndian(cells[7])]
    if (destination === undefined || mask === undefined) continue
    const block = { base: destination, prefix: mask.toString(2).replace(/0+$/, '').length }
    if (block.prefix > pool.prefix && overlaps(block, pool)) blocks.push(block)
  }
  return blocks
}

function littleEndian(hex: string | undefined): number | undefined {
  if (hex === undefined || !/^[0-9A-F]{8}$/.test(hex)) return undefined
  return Number.parseInt(hex.match(/../g)?.reverse().join('') ?? '', 16)
}

function sizeOf(prefix: number): number {
  return 2 ** (32 - prefix)
}
