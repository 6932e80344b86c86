/** Signals of the process come in; a graceful end, or at the second signal an end at once, goes out. */

/** What npm and the terminal both deliver for one Ctrl-C comes within this time. */
const sameSignalMs = 500

/** Resolves at the first SIGTERM or SIGINT; one that comes later than the same Ctrl-C ends the process at once. */
export function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((done) => {
    let firstAt: number | undefined
    const onSignal = (signal: NodeJS.Signals) => {
      if (firstAt === undefined) {
        firstAt = Date.now()
        done(signal)
      } else if (Date.now() - firstAt > sameSignalMs) {
        process.exit(1)
      }
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}
