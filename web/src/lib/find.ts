/** Finding: what matches a typed query, and how well. */

/** 0 no match; higher is better: the whole, the beginning, the beginning of a word, somewhere, letters in order. */
export function score(text: string, query: string): number {
  const t = text.toLowerCase()
  const q = query.trim().toLowerCase()
  if (q === '') return 1
  if (t === q) return 5
  if (t.startsWith(q)) return 4
  const at = t.indexOf(q)
  if (at > 0) return /[^a-z0-9]/.test(t.charAt(at - 1)) ? 3 : 2
  let i = 0
  for (const c of t) if (c === q.charAt(i)) i++
  return i === q.length ? 1 : 0
}

/** What matches, best first; equals keep their order. */
export function found<T>(items: readonly T[], query: string, text: (item: T) => string): T[] {
  if (query.trim() === '') return [...items]
  return items
    .map((item) => ({ item, rank: score(text(item), query) }))
    .filter((row) => row.rank > 0)
    .sort((a, b) => b.rank - a.rank)
    .map((row) => row.item)
}
