/** What a control answered comes in; what of it the description of the API does not say comes out. */
import type { z } from 'zod'
import { operations } from '../../control/api/operations.ts'

const rows = Object.entries(operations).map(([key, { answers }]) => {
  const [method = '', path = ''] = key.split(' ')
  const words = path.split('/')
  return { method, words, answers, isExact: !path.includes(':') }
})
// `/hosts/tokens` is not `/hosts/:id`.
rows.sort((a, b) => Number(b.isExact) - Number(a.isExact))

const answersOf = (method: string, path: string): Readonly<Record<number, z.ZodType | null>> | undefined => {
  const words = path.split('/')
  return rows.find(
    (row) =>
      row.method === method &&
      row.words.length === words.length &&
      row.words.every((word, at) => word.startsWith(':') || word === words[at]),
  )?.answers
}

/** Fields that stand in `said` and not in `read`, where the schema has left them out. */
function beyond(said: unknown, read: unknown, at: string): string[] {
  if (typeof said !== 'object' || said === null || typeof read !== 'object' || read === null) return []
  return Object.entries(said).flatMap(([name, value]) =>
    name in read
      ? beyond(value, (read as Record<string, unknown>)[name], `${at}.${name}`)
      : [`${at}.${name} is not described`],
  )
}

/** How an answer differs from its description; empty where it is as described. Refusals are of one shape, told elsewhere. */
export function undescribed(method: string, target: string, status: number, body: unknown): string[] {
  const answers = answersOf(method, target.split('?')[0] ?? '')
  if (answers === undefined || status >= 300) return []
  if (!(status in answers)) return [`${method} ${target} answered ${status}, which is not described`]
  const schema = answers[status]
  if (schema == null || body === undefined) return []
  const read = schema.safeParse(body)
  if (!read.success) return read.error.issues.map(({ path, message }) => `.${path.join('.')}: ${message}`)
  return beyond(body, read.data, '')
}
