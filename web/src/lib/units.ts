/** Amounts as a person reads and types them: bytes as MiB or GiB, CPU as cores. */

const MIB = 1024 ** 2
const GIB = 1024 ** 3
const TIB = 1024 ** 4

/** At most two digits after the point, none that are zero. */
function trim(n: number): string {
  return String(Math.round(n * 100) / 100)
}

/** 4 GiB, 1.5 GiB, 512 MiB. */
export function bytesText(bytes: number): string {
  if (bytes >= TIB) return `${trim(bytes / TIB)} TiB`
  if (bytes >= GIB) return `${trim(bytes / GIB)} GiB`
  if (bytes >= MIB) return `${trim(bytes / MIB)} MiB`
  return `${bytes} B`
}

const factors: Record<string, number> = {
  m: MIB,
  mib: MIB,
  mb: MIB,
  g: GIB,
  gib: GIB,
  gb: GIB,
  t: TIB,
  tib: TIB,
  tb: TIB,
  b: 1,
}

/** Bytes of what a person typed: `4 GiB`, `512m`, `1.5g`; a bare number is GiB. Null when it is no amount. */
export function parseBytes(text: string): number | null {
  const parts = /^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*$/i.exec(text)
  if (parts === null) return null
  const factor = parts[2] === '' ? GIB : factors[(parts[2] ?? '').toLowerCase()]
  const bytes = factor === undefined ? Number.NaN : Math.round(Number(parts[1]) * factor)
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null
}

/** 1 core, 2 cores, 0.5 cores. */
export function coresText(cores: number): string {
  return `${trim(cores)} ${cores === 1 ? 'core' : 'cores'}`
}

/** Cores of what a person typed: `2`, `0.5 cores`, `500m`. Null when it is no amount. */
export function parseCores(text: string): number | null {
  const parts = /^\s*([0-9]+(?:\.[0-9]+)?)\s*(m|cores?|cpus?)?\s*$/i.exec(text)
  if (parts === null) return null
  const cores = Number(parts[1]) / (parts[2]?.toLowerCase() === 'm' ? 1000 : 1)
  return cores > 0 ? cores : null
}

/** A whole number above zero of what a person typed. Null when it is none. */
export function parseCount(text: string): number | null {
  const digits = /^\s*([0-9]{1,9})\s*$/.exec(text)
  const count = digits === null ? 0 : Number(digits[1])
  return count > 0 ? count : null
}

/** The next amount up or down in steps of two, from one bound to the other; `from` null begins at the least. */
export function stepped(
  from: number | null,
  direction: 1 | -1,
  bounds: { min: number; max: number },
): number {
  if (from === null) return bounds.min
  const next = direction === 1 ? from * 2 : from / 2
  return Math.min(bounds.max, Math.max(bounds.min, next))
}

/** `1 port`, `3 ports`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`
}
