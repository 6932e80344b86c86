/** A command line as one types it, and as the list of arguments that the API takes. No expansion of any kind. */

/**
 *   line = word { blank word };  word = { plain | 'single' | "double" | \any }
 * Null when a quote stays open.
 */
export function splitWords(line: string): string[] | null {
  const words: string[] = []
  let word: string | null = null
  let quote: '"' | "'" | null = null
  for (let i = 0; i < line.length; i++) {
    const c = line.charAt(i)
    if (quote === "'" ? c === "'" : quote === '"' && c === '"') quote = null
    else if (c === '\\' && quote !== "'" && i + 1 < line.length) word = (word ?? '') + line.charAt(++i)
    else if (quote !== null) word = (word ?? '') + c
    else if (c === '"' || c === "'") {
      quote = c
      word ??= ''
    } else if (/\s/.test(c)) {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + c
  }
  if (quote !== null) return null
  if (word !== null) words.push(word)
  return words
}

/** One line that `splitWords` takes back to the same words. */
export function joinWords(words: readonly string[]): string {
  return words.map((w) => (/^[\w./:=@%+,-]+$/.test(w) ? w : `'${w.replaceAll("'", `'\\''`)}'`)).join(' ')
}
