/** Ends a workspace's program, or all that was made for it; what isn't ours counts as absent. */
import type { Call, WorkspaceId } from '@postern/plugin'
import type { Container } from 'dockerode'
import { incarnationOf } from './convert.ts'
import { ask, together, unless } from './engine.ts'
import type { Engine } from './engine.ts'
import { findContainer } from './find.ts'
import type { Found } from './find.ts'
import { removeNetwork } from './network.ts'
import { markStopped, removeVolume } from './volume.ts'

/** Ensures that it doesn't run. See `Runtime.stop`. */
export async function stop(
  engine: Engine,
  id: WorkspaceId,
  call: Call & { readonly graceMs: number },
): Promise<void> {
  const found = await findContainer(engine, id, call)
  if (found === undefined || found === 'foreign' || !isLive(found)) return
  const incarnation = incarnationOf(found.facts.id, found.facts.startedAt)
  await markStopped(engine, id, found.proof.generation, incarnation, call).catch((err: unknown) => {
    call.signal.throwIfAborted()
    // Such as a full disk: then a forced end is told as a failure, which is better than not to end.
    engine.log.warn('a stop could not be marked', { workspaceId: id, err })
  })
  if (found.facts.status === 'paused')
    await ask(call.signal, 'unpause the container', () => found.container.unpause().catch(unless(404, 409)))
  await halt(found.container, Math.ceil(call.graceMs / 1000), call)
}

/**
 * Ensures that it is gone. See `Runtime.remove`. The container goes after its helpers and the home last, so that what
 * a cut-short call leaves is still listed.
 */
export async function remove(
  engine: Engine,
  id: WorkspaceId,
  call: Call & { readonly keepData: boolean },
): Promise<void> {
  const found = await findContainer(engine, id, call)
  const ours = found === 'foreign' ? undefined : found
  if (ours !== undefined && isLive(ours)) {
    await ask(call.signal, 'kill the container', () => ours.container.kill().catch(unless(404, 409)))
    await halt(ours.container, 0, call)
  }
  await together([removeNetwork(engine, id, call), removeVolume(engine, id, 'stop', call)])
  if (ours !== undefined)
    await ask(call.signal, 'remove the container', (abortSignal) =>
      ours.container.remove({ force: true, abortSignal }).catch(unless(404)),
    )
  if (!call.keepData) await removeVolume(engine, id, 'home', call)
}

function isLive({ facts }: Found): boolean {
  return ['running', 'paused', 'restarting'].includes(facts.status)
}

/** Resolves when the engine has ended it; 304 and 404 say that it had ended before. */
async function halt(container: Container, graceSeconds: number, call: Call): Promise<void> {
  await ask(call.signal, 'stop the container', (abortSignal) =>
    container.stop({ t: graceSeconds, abortSignal }).catch(unless(304, 404)),
  )
}
