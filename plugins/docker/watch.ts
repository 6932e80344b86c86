/** The engine's events become hints on which workspaces to look at; a lost connection becomes a hint to look at all. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Call, WorkspaceId } from '@postern/plugin'
import { ask } from './engine.ts'
import type { Engine } from './engine.ts'
import { jsonLines } from './image.ts'
import { WORKSPACE, ownFilter } from './labels.ts'

/** What of an event matters. Source: Docker Engine API, SystemEvents. */
interface EngineEvent {
  readonly Actor?: { readonly Attributes?: Readonly<Record<string, string>> }
}

const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 5_000

/** Hints until the signal aborts, over every restart of the engine. See `Runtime.watch`. */
export async function* watch(engine: Engine, call: Call): AsyncGenerator<WorkspaceId | '*'> {
  let waitMs = FIRST_WAIT_MS
  let isUp = true
  for (let tried = 0; ; tried++) {
    const stream = await events(engine, call)
    if (stream !== undefined) {
      // An engine that was restarted may have flushed the packet filter, and its containers may have ended.
      if (tried > 0) yield '*'
      isUp = true
      waitMs = FIRST_WAIT_MS
      yield* hints(stream)
      call.signal.throwIfAborted()
      engine.firewall.doubt()
    }
    if (isUp) yield '*'
    isUp = false
    await pause(waitMs, undefined, { signal: call.signal }).catch(() => call.signal.throwIfAborted())
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)
  }
}

/** A stream of events, or undefined while the engine gives none. */
async function events(engine: Engine, call: Call): Promise<NodeJS.ReadableStream | undefined> {
  const filters = { ...ownFilter(engine.owner), type: ['container' as const] }
  try {
    return await ask(call.signal, 'watch the engine', (abortSignal) =>
      engine.docker.getEvents({ filters, abortSignal }),
    )
  } catch (err) {
    call.signal.throwIfAborted()
    engine.log.debug('the engine gives no events', { err })
    return undefined
  }
}

/** Ends when the stream does, however that is: the caller connects again. */
async function* hints(stream: NodeJS.ReadableStream): AsyncGenerator<WorkspaceId> {
  try {
    for await (const event of jsonLines<EngineEvent>(stream)) {
      const id = event.Actor?.Attributes?.[WORKSPACE]
      if (id !== undefined) yield id
    }
  } catch {
    // The connection broke, or the signal aborted: both are seen by the caller.
  }
}
