/** A workspace as it is and the disk that it is to have go in; why its data can't have that goes out, or null. Pure. */
import type { Phase } from '../wire/index.ts'

/** What was asked for, and what its host says that its data has, in bytes. */
interface Sized {
  readonly resolved: { readonly diskBytes: number | null }
  readonly status?: { readonly diskBytes?: number | undefined } | null
}

/** What is set aside for its data, or will be; null: it has no bound. Who takes a size back has it as long as it is there. */
export function heldDisk({ resolved, status }: Sized): number | null {
  const real = status?.diskBytes ?? null
  return resolved.diskBytes === null ? real : Math.max(resolved.diskBytes, real ?? 0)
}

/**
 * Data never moves and is never cut: it keeps the size that it was made with, or grows where its host can do that
 * (`growsDisk`). What failed may have got nothing yet of what was asked for: there, what its host says counts.
 */
export function diskProblem(
  before: Sized & { readonly hostId: string | null; readonly phase: Phase },
  diskBytes: number | null,
  growsDisk: boolean,
): string | null {
  const had = before.resolved.diskBytes
  const real = before.status?.diskBytes ?? null
  if (diskBytes === had || before.hostId === null) return null
  if (before.phase === 'failed' && (real === null || real === diskBytes)) return null
  const has = before.phase === 'failed' ? real : had
  if (has === null) return 'Its data was made without a size, and can’t be given one.'
  if (diskBytes === null || diskBytes < has) return `Its disk has ${has} bytes, and can’t be made smaller.`
  return growsDisk ? null : `Its host can’t make a disk larger than the ${has} bytes that it has.`
}
