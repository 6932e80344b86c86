/** How one route of the API is told of in its description. */
import { z } from 'zod'

/** One route as the description tells of it: what it is for, its body, its answers by status (null: without a body). */
export interface Operation {
  readonly summary: string
  readonly query?: z.ZodObject
  readonly body?: z.ZodType
  readonly answers: Readonly<Record<number, z.ZodType | null>>
  /** Of the answers; JSON unless it is told. */
  readonly type?: string
}

/** A page of a list. */
export const list = (item: z.ZodType): z.ZodType =>
  z.object({ items: z.array(item), next: z.string().optional() })
