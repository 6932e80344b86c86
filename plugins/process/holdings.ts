/** Remembers which workspace holds which listening socket, so that a look costs little while nothing changes. */
import type { WorkspaceId } from '@postern/plugin'
import { socketsOf, stillHolds } from './processes.ts'
import type { Process } from './processes.ts'
import type { Listener } from './sockets.ts'

/** Who holds what; asked after a `refresh`. */
export interface Holdings {
  /**
   * Looks at all processes anew if a socket of interest is new, has changed hands, or was a stranger's `maxAgeMs`
   * ago. `listeners` are all there are, `processes` those of every workspace.
   */
  refresh(
    listeners: readonly Listener[],
    ofInterest: readonly Listener[],
    processes: () => ReadonlyMap<WorkspaceId, readonly Process[]>,
    maxAgeMs: number,
  ): void
  /** Tells whether a socket is held by a process of the workspace at this moment. */
  of(id: WorkspaceId): (inode: string) => boolean
}

/** Starts with nothing remembered. */
export function openHoldings(): Holdings {
  let judged = new Map<string, { id: WorkspaceId; path: string } | null>()
  let judgedAtMs = Number.NEGATIVE_INFINITY

  function isSettled(inode: string, isRecent: boolean): boolean {
    const holding = judged.get(inode)
    if (holding === undefined) return false
    return holding === null ? isRecent : stillHolds(holding.path, inode)
  }

  return {
    refresh(listeners, ofInterest, processes, maxAgeMs) {
      const now = performance.now()
      const isRecent = now - judgedAtMs < maxAgeMs
      if (ofInterest.every(({ inode }) => isSettled(inode, isRecent))) return
      judged = new Map(listeners.map(({ inode }) => [inode, null]))
      judgedAtMs = now
      for (const [id, own] of processes())
        for (const [inode, path] of socketsOf(own)) if (judged.has(inode)) judged.set(inode, { id, path })
    },
    of: (id) => (inode) => {
      const holding = judged.get(inode)
      return holding?.id === id && stillHolds(holding.path, inode)
    },
  }
}
