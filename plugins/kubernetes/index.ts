/** The runtime plugin `kubernetes`: it only names itself and says what it lacks, until it is real. */
import { RuntimeError } from '@postern/plugin'
import type { RuntimePlugin } from '@postern/plugin'

/** Takes no settings. @throws Error naming those that were given. */
function parse(input: unknown): Record<string, never> {
  const names = Object.keys(input ?? {})
  if (names.length > 0) throw new Error(`The kubernetes runtime knows no settings yet: ${names.join(', ')}.`)
  return {}
}

const plugin = {
  apiVersion: 1,
  name: 'kubernetes',
  capabilities: {},
  config: { parse },
  open() {
    return Promise.reject(
      new RuntimeError('ERR_UNSUPPORTED', 'The kubernetes runtime cannot run workspaces yet.', {
        fix: 'Use --runtime docker on a machine with a Docker Engine, or --runtime process without one.',
      }),
    )
  },
} satisfies RuntimePlugin<Record<string, never>>

export default plugin
