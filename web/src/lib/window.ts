/** Which rows of a long list are drawn: scroll position in, a slice and the space around it out. */

export interface Window {
  readonly from: number
  /** Exclusive. */
  readonly to: number
  readonly beforePx: number
  readonly afterPx: number
}

/** All rows have the same height; `overscan` rows more are drawn on both sides. */
export function visibleWindow(given: {
  scrollTop: number
  heightPx: number
  rowPx: number
  count: number
  overscan: number
}): Window {
  const { rowPx, count, overscan } = given
  const first = Math.floor(given.scrollTop / rowPx) - overscan
  const from = Math.max(0, Math.min(first, count))
  const to = Math.min(count, Math.ceil((given.scrollTop + given.heightPx) / rowPx) + overscan)
  return {
    from,
    to: Math.max(from, to),
    beforePx: from * rowPx,
    afterPx: Math.max(0, count - Math.max(from, to)) * rowPx,
  }
}

/** Where to scroll so that row `index` is wholly seen; the same position when it is already. */
export function scrollToShow(
  index: number,
  view: { scrollTop: number; heightPx: number; rowPx: number },
): number {
  const top = index * view.rowPx
  if (top < view.scrollTop) return top
  return Math.max(view.scrollTop, top + view.rowPx - view.heightPx)
}
