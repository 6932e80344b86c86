/** Looks at the workspaces again and again, hints at what changed, and tidies up behind programs that ended. */
import { setTimeout as pause } from 'node:timers/promises'
import type { WorkspaceId } from '@postern/plugin'
import { toInstance } from './convert.ts'
import { force } from './finish.ts'
import { cutLog } from './logs.ts'
import type { Setting } from './verbs.ts'

const LOOK_MS = 400
const LOG_LOOKS = 15

/** Yields the ids of workspaces whose state or listening ports changed, until aborted. */
export async function* watchWorkspaces(
  setting: Setting,
  signal: AbortSignal,
  inTurn: <T>(id: WorkspaceId, work: () => Promise<T>) => Promise<T>,
): AsyncGenerator<WorkspaceId> {
  let before = signatures(setting)
  for (let looks = 1; ; looks++) {
    try {
      await pause(LOOK_MS, undefined, { signal })
    } catch {
      return // Aborted: the watch ends.
    }
    const after = signatures(setting)
    for (const id of new Set([...before.keys(), ...after.keys()]))
      if (before.get(id)?.text !== after.get(id)?.text) yield id
    for (const [id, { isLeftBehind }] of after)
      if (isLeftBehind) await inTurn(id, () => tidy(setting, id, signal)).catch(unlessAborted(signal))
    if (looks % LOG_LOOKS === 0) await cutLogs(setting, [...after.keys()])
    before = after
  }
}

/** An abort ends the watch at its next wait; anything else is an error of the watch. */
function unlessAborted(signal: AbortSignal): (err: unknown) => void {
  return (err) => {
    if (!signal.aborted) throw err
  }
}

interface Signature {
  readonly text: string
  /** Its program has ended, and others that it started live on. */
  readonly isLeftBehind: boolean
}

function signatures({ store, observer }: Setting): Map<WorkspaceId, Signature> {
  return new Map(
    observer.look(store.readAll()).map(({ meta, finding, processes }) => [
      meta.id,
      {
        text: JSON.stringify(toInstance(meta, finding)),
        isLeftBehind: meta.leader !== null && !finding.isAlive && processes.length > 0,
      },
    ]),
  )
}

/** As a container does: when the program has ended, so does all that it started. */
async function tidy({ store, observer }: Setting, id: WorkspaceId, signal: AbortSignal): Promise<void> {
  const record = store.readAll().find((meta) => meta.id === id)
  const [seen] = record === undefined ? [] : observer.look([record])
  if (seen === undefined || seen.finding.isAlive || signal.aborted) return
  await force(observer.quarry(seen.meta), signal)
}

async function cutLogs({ store, config, host }: Setting, ids: readonly WorkspaceId[]): Promise<void> {
  for (const id of ids)
    await cutLog(store.placeOf(id).log, config.logBytes).catch((err: unknown) =>
      host.log.warn('a log could not be cut', { workspaceId: id, err }),
    )
}
