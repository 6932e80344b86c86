/** The list of workspaces in the side bar: what is found, in groups, and the one that j and k stand on. */
import { tick } from 'svelte'
import type { WorkspaceView } from '../../../control/wire/workspace.ts'
import { found } from './find.ts'
import { live } from './live.svelte.ts'
import { router } from './router.svelte.ts'
import { hrefOf } from './routes.ts'
import { session } from './session.svelte.ts'

export type ListRow =
  | { readonly kind: 'group'; readonly label: string }
  | { readonly kind: 'workspace'; readonly workspace: WorkspaceView }

const rowsOf = (label: string, list: readonly WorkspaceView[]): ListRow[] =>
  list.length === 0
    ? []
    : [{ kind: 'group', label }, ...list.map((workspace): ListRow => ({ kind: 'workspace', workspace }))]

class WorkspaceList {
  /** The id of the workspace that the keyboard stands on; '' for none. */
  cursor = $state('')
  readonly query: string = $derived(router.query.get('find') ?? '')
  readonly rows: readonly ListRow[] = $derived.by(() => {
    const list = found(live.present, this.query, (w) => w.name)
    const mine = list.filter(session.owns)
    const others = list.filter((w) => !session.owns(w))
    return [...rowsOf('Mine', mine), ...rowsOf('Of others', others)]
  })

  /** The workspace that keys act on: the one on the page, else the one whose row has the focus. */
  get current(): WorkspaceView | undefined {
    const { place } = router
    if (place.page === 'workspace') return live.named(place.name)
    const isFocused = this.cursor !== '' && document.activeElement?.id === `row-${this.cursor}`
    return isFocused ? live.snapshot.workspaces.get(this.cursor) : undefined
  }

  /** The row that is kept in sight; -1 for none. */
  get shownIndex(): number {
    return this.cursor === ''
      ? -1
      : this.rows.findIndex((row) => row.kind === 'workspace' && row.workspace.id === this.cursor)
  }

  /** Moves the keyboard's place by one and gives that row the focus. */
  async move(step: 1 | -1): Promise<void> {
    const list = this.rows.flatMap((row) => (row.kind === 'workspace' ? [row.workspace] : []))
    const from = list.findIndex((w) => w.id === (this.cursor === '' ? this.current?.id : this.cursor))
    const next = list[Math.max(0, Math.min(list.length - 1, from === -1 && step === -1 ? 0 : from + step))]
    if (next === undefined) return
    this.cursor = next.id
    await tick()
    // A row far away is drawn only after the list has scrolled to it.
    requestAnimationFrame(() => document.getElementById(`row-${next.id}`)?.focus())
  }

  /** Shows the workspace that j and k stand on, else the first that was found. */
  enter(): void {
    const first = this.rows.find((row) => row.kind === 'workspace')
    const to =
      live.snapshot.workspaces.get(this.cursor) ?? (first?.kind === 'workspace' ? first.workspace : undefined)
    if (to !== undefined) router.go(hrefOf({ page: 'workspace', name: to.name, tab: 'overview' }))
  }
}

/** The side bar's list of the page. */
export const list = new WorkspaceList()
