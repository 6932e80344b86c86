/** A join token or a kept credential comes in; what a gateway needs to know of its server comes out, its credential kept in a file. */
import { join } from 'node:path'
import type { Logger } from '@postern/plugin'
import { readIfThere, writeDurably } from '../../agent/durable-file.ts'
import { exchangeCredential, joinControl } from '../../gateway/replica/remote-control.ts'
import type { TokenKeeper } from '../../gateway/replica/token-keeper.ts'
import { ApiError, type GatewayJoin, type GatewayJoined } from '../wire/index.ts'
import { readJoinToken } from './join-token.ts'
import type { GatewayConfig } from './options.ts'
import { findProduct } from './product.ts'
import { aborted } from './signals.ts'
import { StartupError } from './startup-error.ts'
import { readMachineId } from './state-directory.ts'

const AGAIN_MS = 2000

export interface Joined {
  /** Kept in the state directory; exchanged for tokens, and sent nowhere else. */
  readonly credential: string
  /** What the server was told. */
  readonly body: GatewayJoin
  readonly joined: GatewayJoined
}

/** Again and again until the server has answered, or something that no later try will change. */
async function answered<T>(ask: () => Promise<T>, log: Logger, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++)
    try {
      return await ask()
    } catch (err) {
      signal.throwIfAborted()
      if (err instanceof ApiError && err.status < 500 && err.code !== 'gateway_token_refused') throw err
      if (tries === 1) log.warn('the server does not answer; trying again', { err })
      await Promise.race([new Promise((done) => setTimeout(done, AGAIN_MS)), aborted(signal)])
    }
}

/** Joins by the credential that is kept, else by the join token. @throws StartupError join_refused; the signal's reason */
export async function joinServer(
  config: GatewayConfig,
  directory: string,
  log: Logger,
  signal: AbortSignal,
): Promise<Joined> {
  const { serverUrl, gatewayName: name } = config
  const file = join(directory, 'credential')
  const kept = (await readIfThere(file))?.trim() ?? ''
  const joinToken = (await readJoinToken(config)) ?? ''
  const body = { name, machineId: await readMachineId(directory), version: findProduct().version }
  const byCredential = async (): Promise<Joined> => {
    const { token } = await exchangeCredential(serverUrl, kept, signal)
    return { credential: kept, body, joined: await joinControl(serverUrl, token, body, signal) }
  }
  const byToken = async (): Promise<Joined> => {
    const joined = await joinControl(serverUrl, joinToken, body, signal)
    if (joined.credential === undefined) throw new Error('the server gave no credential')
    await writeDurably(file, `${joined.credential}\n`)
    return { credential: joined.credential, body, joined }
  }
  if (kept === '' && joinToken === '') throw refused('this gateway has neither a join token nor a credential')
  try {
    if (kept !== '')
      try {
        return await answered(byCredential, log, signal)
      } catch (err) {
        // One that is no longer known: a join token, where one is given, joins anew.
        if (!(err instanceof ApiError) || joinToken === '') throw err
      }
    return await answered(byToken, log, signal)
  } catch (err) {
    throw err instanceof ApiError ? refused(err.message) : err
  }
}

/** Asks what the server says now, by the gateway's token. @throws ApiError; the signal's reason */
export function joinAgain(
  serverUrl: string,
  tokens: TokenKeeper,
  body: GatewayJoin,
  log: Logger,
  signal: AbortSignal,
): Promise<GatewayJoined> {
  const ask = async (): Promise<GatewayJoined> => {
    const token = await tokens.held(signal)
    try {
      return await joinControl(serverUrl, token, body, signal)
    } catch (err) {
      if (err instanceof ApiError && err.code === 'gateway_token_refused') tokens.wasRefused(token)
      throw err
    }
  }
  return answered(ask, log, signal)
}

/** The server will never take this gateway as it is. */
export function refused(why: string): StartupError {
  return new StartupError('join_refused', {
    message: `The server does not take this gateway: ${why}.`.replace(/\.\.$/, '.'),
    next: 'Ask an administrator for a new join token (POST /api/v1/gateways/tokens), and give it with --join-token-file.',
  })
}
