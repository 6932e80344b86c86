/** Waits for the world to become so; asks again every few milliseconds until a deadline. */
import { setTimeout as pause } from 'node:timers/promises'

/** Resolves with the first truthy answer of `check`. @throws Error naming `what` when `timeoutMs` (10 s) is over. */
export async function until<T>(
  check: () => T | Promise<T>,
  options: { timeoutMs?: number; what?: string; everyMs?: number } = {},
): Promise<NonNullable<T>> {
  const deadline = Date.now() + (options.timeoutMs ?? 10_000)
  let last: unknown
  for (;;) {
    try {
      const value = await check()
      if (value) return value as NonNullable<T>
    } catch (err) {
      last = err
    }
    if (Date.now() > deadline)
      throw new Error(`waited in vain for ${options.what ?? 'a condition'}`, { cause: last })
    await pause(options.everyMs ?? 20)
  }
}
