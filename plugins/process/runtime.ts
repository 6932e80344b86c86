/** The process runtime: verbs come in, children of this machine come and go. Knows its own by records and marks. */
import { RuntimeError } from '@postern/plugin'
import type { RuntimeCode, Runtime, WorkspaceId } from '@postern/plugin'
import { toInstance } from './convert.ts'
import { readLog } from './logs.ts'
import { ownRecord, removeWorkspace, startWorkspace, stopWorkspace } from './verbs.ts'
import type { Setting } from './verbs.ts'
import { watchWorkspaces } from './watch.ts'

/** Opens the runtime on a setting that is ready. */
export function processRuntime(setting: Setting): Runtime {
  const { store, observer, host } = setting
  const closing = new AbortController()
  const turns = new Map<WorkspaceId, Promise<unknown>>()

  async function enter<T>(signal: AbortSignal, work: () => T | Promise<T>): Promise<T> {
    if (closing.signal.aborted) throw closed()
    signal.throwIfAborted()
    try {
      return await work()
    } catch (err) {
      throw signal.aborted && err === signal.reason ? err : coded(err)
    }
  }

  /** Changes of one workspace happen one after the other; a wait for its turn ends with the signal. */
  async function inTurn<T>(id: WorkspaceId, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = turns.get(id) ?? Promise.resolve()
    const mine = before.then(() => {
      signal.throwIfAborted()
      return work()
    })
    const settled = mine.catch(() => undefined)
    turns.set(id, settled)
    void settled.then(() => turns.get(id) === settled && turns.delete(id))
    return untilAborted(mine, signal)
  }

  return {
    health: ({ signal }) =>
      enter(signal, () => ({
        status: 'healthy',
        message: 'Workspaces run as processes of this machine.',
        warnings: setting.warnings,
      })),
    list: ({ signal }) =>
      enter(signal, () =>
        observer.look(store.readAll()).map(({ meta, finding }) => toInstance(meta, finding)),
      ),
    start: (spec, { signal }) =>
      enter(signal, () => inTurn(spec.id, signal, () => startWorkspace(setting, spec, signal))),
    stop: (id, call) =>
      enter(call.signal, () => inTurn(id, call.signal, () => stopWorkspace(setting, id, call))),
    remove: (id, call) =>
      enter(call.signal, () => inTurn(id, call.signal, () => removeWorkspace(setting, id, call))),
    close: () => Promise.resolve(closing.abort()),
    watch: ({ signal }) => {
      const either = AbortSignal.any([signal, closing.signal])
      return watchWorkspaces(setting, either, (id, work) => inTurn(id, either, work))
    },
    logs: (id, query) => {
      if (closing.signal.aborted) throw closed()
      const signal = AbortSignal.any([query.signal, closing.signal])
      return readLog(store.placeOf(id).log, { ...query, signal }, () => host.now())
    },
    connect: (id, port, { signal }) =>
      enter(signal, () => {
        const meta = ownRecord(store, id)
        if (meta === undefined || meta.generation === 0)
          throw new RuntimeError('ERR_NOT_FOUND', 'There is no such workspace.')
        return observer.dial(meta, port, { signal })
      }),
  }
}

/** The promise's outcome, or the signal's reason if that comes first; the work itself ends by the same signal. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

const CODES: Readonly<Record<string, RuntimeCode>> = {
  EACCES: 'ERR_PERMISSION',
  EPERM: 'ERR_PERMISSION',
  EROFS: 'ERR_PERMISSION',
  ENOSPC: 'ERR_NO_CAPACITY',
  EDQUOT: 'ERR_NO_CAPACITY',
  EAGAIN: 'ERR_NO_CAPACITY',
  ENOMEM: 'ERR_NO_CAPACITY',
  EMFILE: 'ERR_NO_CAPACITY',
  ENFILE: 'ERR_NO_CAPACITY',
  E2BIG: 'ERR_INVALID_SPEC',
}

/** An error of the system under the code that it has in the contract. */
export function coded(err: unknown): unknown {
  if (RuntimeError.is(err)) return err
  const { code, message } = err as NodeJS.ErrnoException
  return new RuntimeError(CODES[code ?? ''] ?? 'ERR_INTERNAL', `The machine refused: ${message}`, {
    cause: err,
  })
}

function closed(): RuntimeError {
  return new RuntimeError('ERR_CLOSED', 'The runtime has been closed.')
}
