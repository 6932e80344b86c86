// Pure. A visit comes in; whether a person goes somewhere by it comes out.
import type { Visit } from '../edge.ts'

/** True for a navigation of a whole tab, and for programs: not for a frame, an image, a script or a fetch. */
export function isTopLevel(visit: Visit): boolean {
  const { fetchMode, fetchDest } = visit.scan
  return (fetchMode === null || fetchMode === 'navigate') && (fetchDest === null || fetchDest === 'document')
}
