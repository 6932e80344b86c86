/** Rows of figures, some with a bound, come in; a Markdown table goes out, and whether all bounds hold. */

/** A figure that is out of its bounds is marked, and fails the run. */
export interface Cell {
  readonly text: string
  readonly isGood: boolean
}

export interface Results {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly (string | Cell)[])[]
}

/** A figure with its bound. */
export const held = (text: string, isGood: boolean): Cell => ({ text, isGood })

/** Megabytes with one decimal. */
export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)

/** The table; figures out of bounds in bold. */
export function tableOf({ title, head, rows }: Results): string {
  const show = (cell: string | Cell): string =>
    typeof cell === 'string' ? cell : cell.isGood ? cell.text : `**${cell.text} (out of bounds)**`
  const lines = [
    [title, ...head],
    ['---', ...head.map(() => '---:')],
    ...rows.map((cells) => cells.map((cell) => show(cell))),
  ]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** True when every figure is within its bounds. */
export const isGood = ({ rows }: Results): boolean =>
  rows.every((cells) => cells.every((cell) => typeof cell === 'string' || cell.isGood))
