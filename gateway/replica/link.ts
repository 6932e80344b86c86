// Control's messages come in over one WebSocket that is made anew whenever it breaks; facts by revision go to a sink, in order.
import { WebSocket } from 'ws'
import type { Logger } from '@postern/plugin'
import {
  ApiError,
  BEAT_MS,
  type EdgeFact,
  type GatewaySays,
  gatewayCloseCodes,
  gatewayMessageSchema,
  paths,
} from '../../control/wire/index.ts'

/** Where facts arrive; revisions of two epochs have nothing to do with each other. */
export interface FactSink {
  reset(epoch: string, revision: number, facts: readonly EdgeFact[]): void
  apply(revision: number, facts: readonly EdgeFact[]): void
  /** Control said something: what is held is true now. */
  heard(): void
}

export interface LinkOptions {
  /** Origin of the server. */
  readonly serverUrl: string
  /** The gateway's token; '' while there is none. */
  token(): string
  /** Control did not take it. */
  onRefused(token: string): void
  readonly sink: FactSink
  readonly log: Logger
  /** 0 to 1. */
  random(): number
  /** Control has revoked this gateway: no later try will change that. */
  onRevoked(err: ApiError): void
}

export interface Link {
  /** Tells control that all decide by this revision now. */
  acknowledge(revision: number): void
  /** From now on by the token that has just come. */
  renew(): void
  close(): void
}

const SILENT_MS = 3 * BEAT_MS
const HANDSHAKE_MS = 5000
const FIRST_WAIT_MS = 100
const MAX_WAIT_MS = 3000
/** Bytes of one message: a whole set is one. */
const MESSAGE_MAX = 1024 * 1024 * 1024

const said = (what: GatewaySays): string => JSON.stringify(what)

class ReplicaLink implements Link {
  readonly #options: LinkOptions
  #ws: WebSocket | null = null
  #epoch = ''
  #revision = -1
  #acked = -1
  #failures = 0
  #silence: NodeJS.Timeout | undefined
  #again: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: LinkOptions) {
    this.#options = options
    this.#connect()
  }

  acknowledge(revision: number): void {
    this.#acked = revision
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(said({ ack: revision }))
  }

  renew(): void {
    const token = this.#options.token()
    if (token === '' || this.#closed) return
    if (this.#ws?.readyState === WebSocket.OPEN) return this.#ws.send(said({ token }))
    if (this.#ws !== null) return
    clearTimeout(this.#again)
    this.#connect()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#again)
    clearTimeout(this.#silence)
    this.#ws?.terminate()
  }

  #connect(): void {
    const { serverUrl } = this.#options
    const token = this.#options.token()
    // When one has come, `renew` says so.
    if (token === '') return
    const url = new URL(paths.gatewayChanges, serverUrl)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    // From there on if control still is who it was; otherwise it sends the whole set.
    if (this.#epoch !== '') url.search = `?epoch=${this.#epoch}&since=${this.#revision}`
    const ws = new WebSocket(url, {
      headers: { authorization: `Bearer ${token}` },
      handshakeTimeout: HANDSHAKE_MS,
      maxPayload: MESSAGE_MAX,
      perMessageDeflate: false,
    })
    this.#ws = ws
    ws.on('open', () => {
      if (this.#options.token() !== token) this.renew()
    })
    ws.on('message', (data) => this.#take(ws, String(data as Buffer)))
    ws.on('unexpected-response', (req, res) => {
      req.destroy()
      this.#lost(ws, new Error(`the server answered ${res.statusCode}`))
      if (res.statusCode === 401) this.#options.onRefused(token)
    })
    ws.on('error', (err) => this.#lost(ws, err))
    ws.on('close', (code, reason) => {
      if (code === gatewayCloseCodes.revoked) return this.#revoked()
      if (code === gatewayCloseCodes.anew) this.#epoch = ''
      this.#lost(ws, new Error(`the connection was closed (${code} ${String(reason)})`))
      // The one that control has seen last.
      if (code === gatewayCloseCodes.expired) this.#options.onRefused(this.#options.token())
    })
    this.#watchSilence(ws, HANDSHAKE_MS + SILENT_MS)
  }

  #take(ws: WebSocket, text: string): void {
    if (ws !== this.#ws || this.#closed) return
    try {
      const message = gatewayMessageSchema.parse(JSON.parse(text))
      const { sink } = this.#options
      if (message.type === 'reset') {
        sink.reset(message.epoch, message.revision, message.facts)
        this.#epoch = message.epoch
        this.#revision = message.revision
      } else if (message.type === 'apply') {
        if (message.revision < this.#revision) throw new Error('the revision went back')
        sink.apply(message.revision, message.facts)
        this.#revision = message.revision
      } else this.acknowledge(this.#acked)
    } catch (err) {
      // Whatever it was: the whole set, rather than a mix.
      this.#epoch = ''
      return this.#lost(ws, err)
    }
    if (this.#failures > 0)
      this.#options.log.info('control feeds this gateway again', { tries: this.#failures })
    this.#failures = 0
    this.#options.sink.heard()
    this.#watchSilence(ws, SILENT_MS)
  }

  #watchSilence(ws: WebSocket, ms: number): void {
    clearTimeout(this.#silence)
    this.#silence = setTimeout(() => this.#lost(ws, new Error('control says nothing')), ms)
  }

  #revoked(): void {
    if (this.#closed) return
    this.close()
    this.#options.onRevoked(new ApiError('gateway_unknown'))
  }

  #lost(ws: WebSocket, err: unknown): void {
    if (ws !== this.#ws || this.#closed) return
    this.#ws = null
    clearTimeout(this.#silence)
    ws.terminate()
    if (this.#failures++ === 0)
      this.#options.log.warn('control does not feed this gateway; it goes on by what it knows', { err })
    const waitMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#failures, 10))
    this.#again = setTimeout(() => this.#connect(), waitMs * (1 - this.#options.random() / 2))
  }
}

/** Follows control's facts from now on, until closed. */
export function followControl(options: LinkOptions): Link {
  return new ReplicaLink(options)
}
