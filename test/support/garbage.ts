/** Nothing comes in; what is garbage in this process has been collected, all of it, when it returns. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** A whole collection: what lives afterwards has grown old. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
}
