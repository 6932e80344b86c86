/** The colours of the dashboard, light and dark: text reaches 4.5, marks and edges of fields reach 3 (WCAG 2.2). */
import { readFileSync } from 'node:fs'
import t from 'tap'

const css = readFileSync(new URL('../../../web/src/styles/tokens.css', import.meta.url), 'utf8')
const tokens = new Map(
  [...css.matchAll(/--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
    ([, name, light, dark]) => [name ?? '', { light: light ?? '', dark: dark ?? '' }],
  ),
)

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (high + 0.05) / (low + 0.05)
}
function reaches(least: number, front: string, back: string): void {
  for (const mode of ['light', 'dark'] as const) {
    const [f, b] = [tokens.get(front)?.[mode], tokens.get(back)?.[mode]]
    const ratio = f === undefined || b === undefined ? 0 : contrast(f, b)
    t.ok(ratio >= least, `${front} on ${back}, ${mode}: ${ratio.toFixed(2)}`)
  }
}

for (const back of ['bg', 'panel', 'rail', 'field'])
  for (const front of ['text', 'dim', 'faint', 'accent', 'bad', 'wait']) reaches(4.5, front, back)
for (const front of ['text', 'dim'])
  for (const back of ['accent-soft', 'bad-soft', 'wait-soft']) reaches(4.5, front, back)
reaches(4.5, 'on-accent', 'accent')
reaches(4.5, 'on-accent', 'bad')
reaches(4.5, 'ok', 'rail')
for (const mark of ['ok', 'wait', 'bad', 'faint', 'line-strong']) reaches(3, mark, 'panel')
