/** Where a join token may be comes in; the token, or null where none is given, comes out. */
import { readFile } from 'node:fs/promises'
import { StartupError } from './startup-error.ts'

/** The token of the file wins. @throws StartupError config_unreadable */
export async function readJoinToken(config: {
  readonly joinToken: string | null
  readonly joinTokenFile: string | null
}): Promise<string | null> {
  if (config.joinTokenFile === null) return config.joinToken
  try {
    return (await readFile(config.joinTokenFile, 'utf8')).trim()
  } catch (cause) {
    throw new StartupError('config_unreadable', {
      message: `The join token's file ${config.joinTokenFile} cannot be read.`,
      next: 'Let this user read it, or name another with --join-token-file.',
      cause,
    })
  }
}
