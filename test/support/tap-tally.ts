/** Lines of a TAP stream come in; counts of assertions, skips with reasons, and the lines worth showing come out. */

export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skips: readonly { readonly file: string; readonly reason: string }[]
}

interface Level {
  readonly indent: number
  points: number
}

/**
 * Counts leaves only: a subtest's own line (`ok 1 - name {` or the line after its block) sums up what was counted
 * inside, unless nothing was inside.
 */
export class TapTally implements Tally {
  passed = 0
  failed = 0
  readonly skips: { file: string; reason: string }[] = []
  readonly #file: string
  #levels: Level[] = []
  #diagnosticIndent: number | null = null
  #failing = false

  constructor(file = '') {
    this.#file = file
  }

  /** Counts what another one counted, too. */
  add(other: Tally): void {
    this.passed += other.passed
    this.failed += other.failed
    this.skips.push(...other.skips)
  }

  plain(): Tally {
    return { passed: this.passed, failed: this.failed, skips: this.skips }
  }

  /** Takes one line; gives it back when a person should see it. */
  read(line: string): string | null {
    const indent = line.length - line.trimStart().length
    const text = line.trim()
    if (this.#diagnosticIndent !== null) {
      if (text === '...' && indent <= this.#diagnosticIndent) this.#diagnosticIndent = null
      return this.#failing ? line : null
    }
    if (text === '---') {
      this.#diagnosticIndent = indent
      return this.#failing ? line : null
    }
    const point = /^(not )?ok\b(?: \d+)?(?: - )?(.*)$/.exec(text)
    if (point) return this.#point(line, indent, point[1] !== undefined, point[2] ?? '')
    if (text.startsWith('# Subtest: ')) {
      return indent === 0 ? line : null
    }
    return text.startsWith('Bail out!') ? line : null
  }

  #point(line: string, indent: number, isFailure: boolean, rest: string): string | null {
    const isOpening = rest.endsWith('{')
    const inner = this.#closeLevelsBelow(indent)
    const skip = /# SKIP\b\s*(.*?)(?:\s*\{)?$/i.exec(rest)
    this.#levelAt(indent).points++
    this.#failing = isFailure && (inner === 0 || indent === 0)
    if (isOpening) return isFailure ? line : null
    if (inner > 0) return indent === 0 || isFailure ? line : null
    if (skip)
      this.skips.push({ file: this.#file, reason: `${rest.split(' # ')[0]}: ${skip[1] || 'no reason'}` })
    else if (/# todo\b/i.test(rest)) return null
    else if (isFailure) this.failed++
    else this.passed++
    return isFailure ? line : null
  }

  /** How many points were seen in the block that ends at this indent. */
  #closeLevelsBelow(indent: number): number {
    let points = 0
    while ((this.#levels.at(-1)?.indent ?? -1) > indent) points += this.#levels.pop()?.points ?? 0
    return points
  }

  #levelAt(indent: number): Level {
    const top = this.#levels.at(-1)
    if (top?.indent === indent) return top
    const made = { indent, points: 0 }
    this.#levels.push(made)
    return made
  }
}
