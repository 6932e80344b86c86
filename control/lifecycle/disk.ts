/** A workspace as it is and the disk that it is to have go in; why its data can't have that goes out, or null. Pure. */
import type { Phase } from '../wire/index.ts'

/** What decides on whether there is data, and of which size. */
interface Sized {
  readonly hostId: string | null
  readonly phase: Phase
  readonly resolved: { readonly diskBytes: number | null }
}

/**
 * Data never moves and is never cut: it keeps the size that it was made with, or grows where its host can do that
 * (`growsDisk`). Of what failed only its host knows how far it came, and says so when it is started.
 */
export function diskProblem(before: Sized, diskBytes: number | null, growsDisk: boolean): string | null {
  const had = before.resolved.diskBytes
  if (diskBytes === had || before.hostId === null || before.phase === 'failed') return null
  if (had === null) return 'Its data was made without a size, and can’t be given one.'
  if (diskBytes === null || diskBytes < had) return `Its disk has ${had} bytes, and can’t be made smaller.`
  return growsDisk ? null : `Its host can’t make a disk larger than the ${had} bytes that it has.`
}
