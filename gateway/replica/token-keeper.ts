// The long-lived credential's exchange comes in; the token that all calls are made with goes out, renewed long before it is over.
import type { Logger } from '@postern/plugin'
import { ApiError, type GatewayToken } from '../../control/wire/index.ts'

export interface TokenKeeperOptions {
  /** Asks control for a token. @throws ApiError, network errors */
  exchange(signal: AbortSignal): Promise<GatewayToken>
  /** 0 to 1. */
  random(): number
  /** Each new one; '' when the last is over and none has come. */
  onToken(token: string): void
  /** Control does not know this gateway: no later try will change that. */
  onRefused(err: ApiError): void
  readonly log: Logger
}

export interface TokenKeeper {
  /** '' while there is none that holds. */
  readonly token: string
  /** Resolves with one that holds. @throws the signal's reason; ApiError once control doesn't know this gateway */
  held(signal: AbortSignal): Promise<string>
  /** Control did not take it, whatever we think of its time: another is asked for, unless it has come meanwhile. */
  wasRefused(token: string): void
  close(): void
}

const FIRST_WAIT_MS = 250
const MAX_WAIT_MS = 3000
/** After a token that was refused at once, ms. */
const PAUSE_MS = 1000
/** Renewed between this part of its time and a tenth of it later. */
const RENEWED_AT = 0.5
const SPREAD = 0.1

class Keeper implements TokenKeeper {
  token = ''
  readonly #options: TokenKeeperOptions
  readonly #end = new AbortController()
  readonly #waiting = new Set<() => void>()
  #isAsking = false
  #askedMs = 0
  #failures = 0
  #next: NodeJS.Timeout | undefined
  #over: NodeJS.Timeout | undefined

  constructor(options: TokenKeeperOptions) {
    this.#options = options
    this.#ask()
  }

  held(signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const end = signal.aborted ? signal : this.#end.signal
        if (this.token === '' && !end.aborted) return
        this.#waiting.delete(look)
        signal.removeEventListener('abort', look)
        if (end.aborted) reject(end.reason as Error)
        else resolve(this.token)
      }
      signal.addEventListener('abort', look)
      this.#waiting.add(look)
      look()
    })
  }

  wasRefused(token: string): void {
    if (token === '' || token !== this.token) return
    this.#give('')
    // One that is given and not taken, by whatever fault, is no reason to ask without end.
    if (performance.now() - this.#askedMs > PAUSE_MS) this.#ask()
    else this.#later(PAUSE_MS)
  }

  close(): void {
    this.#stop(new Error('this gateway ends'))
  }

  #stop(why: Error): void {
    clearTimeout(this.#next)
    clearTimeout(this.#over)
    this.#end.abort(why)
    this.#tell()
  }

  #ask(): void {
    clearTimeout(this.#next)
    if (this.#isAsking || this.#end.signal.aborted) return
    this.#isAsking = true
    this.#askedMs = performance.now()
    const askedMs = this.#askedMs
    this.#options
      .exchange(this.#end.signal)
      .then(
        (made) => this.#take(made, askedMs),
        (err: unknown) => this.#failed(err),
      )
      .finally(() => (this.#isAsking = false))
  }

  /** Its time is counted here, from before it was made: no two clocks are compared. */
  #take({ token, expiresInMs }: GatewayToken, askedMs: number): void {
    if (this.#end.signal.aborted) return
    if (this.#failures > 0) this.#options.log.info('this gateway’s token is renewed again')
    this.#failures = 0
    const leftMs = Math.max(0, expiresInMs - (performance.now() - askedMs))
    clearTimeout(this.#over)
    this.#over = setTimeout(() => {
      this.#options.log.warn('this gateway’s token is over; it cannot ask control until it has another')
      this.#give('')
    }, leftMs)
    this.#later(leftMs * (RENEWED_AT + SPREAD * this.#options.random()))
    this.#give(token)
  }

  #failed(err: unknown): void {
    if (this.#end.signal.aborted) return
    if (err instanceof ApiError && err.code === 'gateway_unknown') {
      this.#give('')
      this.#stop(err)
      return this.#options.onRefused(err)
    }
    if (this.#failures++ === 0)
      this.#options.log.warn('this gateway’s token could not be renewed; trying again', { err })
    const waitMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#failures, 10))
    this.#later(waitMs * (1 - this.#options.random() / 2))
  }

  #later(ms: number): void {
    clearTimeout(this.#next)
    this.#next = setTimeout(() => this.#ask(), ms)
  }

  #give(token: string): void {
    if (token === this.token) return
    this.token = token
    this.#options.onToken(token)
    this.#tell()
  }

  #tell(): void {
    for (const look of this.#waiting) look()
  }
}

/** Has a token from now on, until closed. */
export function keepToken(options: TokenKeeperOptions): TokenKeeper {
  return new Keeper(options)
}
