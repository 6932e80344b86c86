/** A logger that keeps quiet. */
import type { Logger } from '@postern/plugin'

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
}
