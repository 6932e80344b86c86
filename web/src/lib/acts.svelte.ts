/** Doing things to workspaces: one call each, what is under way, what is said afterwards, and how it is undone. */
import type { WorkspaceView } from '../../../control/wire/workspace.ts'
import { live } from './live.svelte.ts'
import type { Act } from './phase.ts'
import { asProblem } from './problem.ts'
import { router } from './router.svelte.ts'
import { hrefOf } from './routes.ts'
import { api } from './session.svelte.ts'
import { toasts } from './toasts.svelte.ts'

/** What an act is called on its button. */
export const actLabels: Record<Act, string> = {
  open: 'Open',
  start: 'Start',
  stop: 'Stop',
  restart: 'Restart',
  restore: 'Restore',
  purge: 'Delete for ever',
  trash: 'Delete',
}

class Acts {
  /** Ids of workspaces with a call under way. */
  busy: ReadonlySet<string> = $state.raw(new Set())
  /** The workspace that is asked about before it is deleted for ever. */
  purging: WorkspaceView | null = $state.raw(null)

  /** Does it; refusals are said in a toast. Purging asks for the name first. */
  async run(act: Act, workspace: WorkspaceView): Promise<void> {
    if (act === 'open') {
      window.open(workspace.urls.default, '_blank', 'noopener')
      return
    }
    if (act === 'purge') {
      this.purging = workspace
      return
    }
    if (this.busy.has(workspace.id)) return
    await this.#call(workspace, async () => {
      live.take(await api[act](workspace.id))
      if (act === 'trash') this.#trashed(workspace)
      if (act === 'restore') this.#restored(workspace)
    })
  }

  /** Deletes it for ever, once its name was typed. */
  async purge(workspace: WorkspaceView): Promise<void> {
    this.purging = null
    await this.#call(workspace, async () => {
      live.take(await api.purge(workspace.id))
      toasts.say(`${workspace.name} is being deleted for ever`)
      const { place } = router
      if (place.page === 'workspace' && place.name === workspace.name) router.go('/trash', { replace: true })
    })
  }

  async #call(workspace: WorkspaceView, call: () => Promise<void>): Promise<void> {
    this.busy = new Set(this.busy).add(workspace.id)
    try {
      await call()
    } catch (err) {
      toasts.refuse(asProblem(err))
    } finally {
      const rest = new Set(this.busy)
      rest.delete(workspace.id)
      this.busy = rest
    }
  }

  #trashed(workspace: WorkspaceView): void {
    const { place } = router
    if (place.page === 'workspace' && place.name === workspace.name) router.go('/workspaces')
    // Starting brings it back from the trash too; restoring alone would leave stopped what had been running.
    const back = workspace.want === 'running' ? 'start' : 'restore'
    const undo = { label: 'Undo', run: () => void this.run(back, workspace) }
    toasts.say(`${workspace.name} is in the trash`, { action: undo })
  }

  #restored(workspace: WorkspaceView): void {
    const show = {
      label: 'Show',
      run: () => router.go(hrefOf({ page: 'workspace', name: workspace.name, tab: 'overview' })),
    }
    toasts.say(`${workspace.name} is back`, { action: show })
  }
}

/** The acts of the page. */
export const acts = new Acts()
