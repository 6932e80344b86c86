/** Work that may not end comes in; its end, or that the time for it is over, goes out. */

/** Waits for work, but not longer than `ms`; false: it isn't done. @throws what the work rejects with in time */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  // Nobody waits for what comes later.
  work.catch(() => undefined)
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
