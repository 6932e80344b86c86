/** Signals of the process come in; a graceful end, or at the second signal an end at once, goes out. */

/** What npm and the terminal both deliver for one Ctrl-C comes within this time. */
const sameSignalMs = 500

/** Aborted at the first SIGTERM or SIGINT; one that comes later than the same Ctrl-C ends the process at once. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController()
  let firstAt = 0
  const onSignal = (name: NodeJS.Signals) => {
    if (!stop.signal.aborted) {
      firstAt = Date.now()
      stop.abort(new Error(`stopped by ${name}`))
    } else if (Date.now() - firstAt > sameSignalMs) {
      process.exit(1)
    }
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return stop.signal
}

/**
 * Calls `act` at each SIGHUP, which log rotators and renewals of certificates send; returns how to stop that. On a terminal SIGHUP says that the
 * terminal is gone, and stays the end.
 */
export function onHangUp(act: () => void): () => void {
  if (process.stdin.isTTY || process.stdout.isTTY) return () => undefined
  process.on('SIGHUP', act)
  return () => void process.removeListener('SIGHUP', act)
}

/** Resolves when the signal is aborted, at once if it was before. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done()
    else signal.addEventListener('abort', () => done(), { once: true })
  })
}
