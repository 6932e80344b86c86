/** `GET /api/gateway/v1/changes`: changes come in by the feed; each connected gateway is sent the facts that it decides on, by revision. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import type { Deployment } from '../deployment.ts'
import { allFacts, changedFacts } from './facts.ts'
import type { Batch } from './feed.ts'
import { gatewayToken } from '../credentials/gateway-bearer.ts'
import type { Gateways, Identified } from '../service/gateways.ts'
import { changesAfter, readRevisions } from '../store/changes.ts'
import type { StoredGateway } from '../store/gateways.ts'
import { refuseUpgrade } from './stream.ts'
import { newId } from '../credentials/tokens.ts'
import { ApiError, BEAT_MS, gatewayCloseCodes, gatewaySaysSchema } from '../wire/index.ts'
import type { EdgeFact, GatewayMessage, Origin } from '../wire/index.ts'

/** Bytes that may wait for a slow gateway before it is cut off, beside a whole set. */
const BUFFER_MAX = 64 * 1024 * 1024
/** A gateway that said nothing for so long is gone, in ms; its own answers come with each beat. */
const SILENT_MS = 4 * BEAT_MS
/** A change's answer waits for so long at most until gateways know of it, in ms. */
const ACKNOWLEDGE_MS = 500
/** That a gateway is there is written down at most so often, in ms. */
const SEEN_MS = 10_000

export interface GatewayLinks {
  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, origin: Origin): void
  /** True while a gateway is fed by this server. */
  isConnected(gatewayId: string): boolean
  /** Resolves when every connected gateway decides by all that it was sent, or after half a second. */
  acknowledged(): Promise<void>
  close(): void
}

interface Link {
  readonly gateway: StoredGateway
  readonly ws: WebSocket
  /** Without another token it is cut off then, ms since 1970. */
  untilMs: number
  sent: number
  acked: number
  heardAtMs: number
  seenAtMs: number
}

class Links implements GatewayLinks {
  /** Revisions are compared within it only: another process of control may stand on a restored database. */
  readonly #epoch = newId()
  readonly #deployment: Deployment
  readonly #gateways: Gateways
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: 4096, perMessageDeflate: false })
  readonly #links = new Set<Link>()
  readonly #waiting = new Set<() => void>()
  readonly #facts = new WeakMap<Batch, Map<string, Promise<EdgeFact[]>>>()
  readonly #beats: NodeJS.Timeout

  constructor(deployment: Deployment, gateways: Gateways) {
    this.#deployment = deployment
    this.#gateways = gateways
    this.#beats = setInterval(() => this.#beat(), BEAT_MS)
    this.#beats.unref()
  }

  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, origin: Origin): void {
    try {
      const identified = this.#gateways.identify(gatewayToken(req.headers))
      const query = new URL(req.url ?? '/', 'http://control.invalid').searchParams
      const since = query.get('epoch') === this.#epoch ? Number(query.get('since')) : -1
      this.#server.handleUpgrade(req, socket, head, (ws) => this.#serve(ws, identified, since))
    } catch (err) {
      refuseUpgrade(socket, err, origin)
    }
  }

  #serve(ws: WebSocket, { gateway, untilMs }: Identified, since: number): void {
    const nowMs = performance.now()
    const link: Link = { gateway, ws, untilMs, sent: -1, acked: -1, heardAtMs: nowMs, seenAtMs: -SEEN_MS }
    this.#links.add(link)
    ws.on('error', () => ws.terminate())
    ws.on('message', (data) => this.#hear(link, String(data as Buffer)))
    ws.once('close', () => {
      this.#links.delete(link)
      this.#tell()
      this.#deployment.log.warn('a gateway is no longer fed', { gatewayId: gateway.id, name: gateway.name })
    })
    const start = async (revision: number): Promise<void> => {
      if (this.#mayStay(link)) await this.#catchUp(link, since, revision)
    }
    const consume = (batch: Batch): Promise<void> => this.#deliver(link, batch)
    this.#deployment.feed.subscribe(start, consume).then(
      (end) => {
        if (ws.readyState !== WebSocket.OPEN) return end()
        ws.once('close', end)
        this.#deployment.log.info('a gateway is fed', { gatewayId: gateway.id, name: gateway.name })
      },
      (err: unknown) => {
        this.#deployment.log.warn('a gateway could not be fed', { gatewayId: gateway.id, err })
        ws.close(1011)
      },
    )
  }

  #hear(link: Link, text: string): void {
    link.heardAtMs = performance.now()
    const parsed = gatewaySaysSchema.safeParse(parseJson(text))
    if (!parsed.success) return link.ws.close(1008, 'an acknowledgement or a token only')
    if ('token' in parsed.data) return this.#goOn(link, parsed.data.token)
    if (parsed.data.ack > link.acked) link.acked = parsed.data.ack
    this.#tell()
  }

  /** By another token of the same gateway; by any other it ends. */
  #goOn(link: Link, token: string): void {
    try {
      const { gateway, untilMs } = this.#gateways.identify(token)
      if (gateway.id !== link.gateway.id)
        throw new ApiError('gateway_token_refused', 'It is another gateway’s.')
      link.untilMs = Math.max(link.untilMs, untilMs)
    } catch (err) {
      this.#deployment.log.warn('a gateway’s token was refused', { gatewayId: link.gateway.id, err })
      link.ws.close(gatewayCloseCodes.expired, 'the token was refused')
    }
  }

  /** False when it has just been told to go. */
  #mayStay({ gateway, untilMs, ws }: Link): boolean {
    const isRevoked = !this.#gateways.has(gateway.id)
    if (isRevoked) ws.close(gatewayCloseCodes.revoked, 'revoked')
    else if (this.#deployment.now() > untilMs) ws.close(gatewayCloseCodes.expired, 'the token is over')
    else return true
    return false
  }

  /** The whole set, or what changed since the revision that the gateway has of this very epoch. */
  async #catchUp(link: Link, since: number, revision: number): Promise<void> {
    const { feed } = this.#deployment
    const { machineId } = link.gateway
    const { pruned } = await readRevisions(feed.db)
    const goesOn = Number.isSafeInteger(since) && since >= pruned && since >= 0 && since <= revision
    if (!goesOn) return this.#reset(link, revision)
    const changes = (await changesAfter(feed.db, since)).filter((each) => each.revision <= revision)
    const batch = { revision, changes, missed: false }
    const facts = await changedFacts(this.#deployment, feed.db, batch, machineId)
    this.#send(link, { type: 'apply', revision, facts })
  }

  async #reset(link: Link, revision: number): Promise<void> {
    const facts = await allFacts(this.#deployment, this.#deployment.feed.db, link.gateway.machineId)
    this.#send(link, { type: 'reset', epoch: this.#epoch, revision, facts })
  }

  async #deliver(link: Link, batch: Batch): Promise<void> {
    if (link.ws.readyState !== WebSocket.OPEN) return
    if (!this.#mayStay(link)) return
    // What is missed makes another past possible: the gateway is to forget its own.
    if (batch.missed) return link.ws.close(gatewayCloseCodes.anew, 'changes were missed')
    const facts = await this.#factsOf(batch, link.gateway.machineId)
    if (facts.length > 0) this.#send(link, { type: 'apply', revision: batch.revision, facts })
  }

  /** Read once for all gateways of one machine. */
  #factsOf(batch: Batch, machineId: string): Promise<EdgeFact[]> {
    const known = this.#facts.get(batch) ?? new Map<string, Promise<EdgeFact[]>>()
    this.#facts.set(batch, known)
    const facts =
      known.get(machineId) ?? changedFacts(this.#deployment, this.#deployment.feed.db, batch, machineId)
    known.set(machineId, facts)
    return facts
  }

  #send(link: Link, message: GatewayMessage): void {
    const { ws } = link
    if (ws.readyState !== WebSocket.OPEN) return
    if (ws.bufferedAmount > BUFFER_MAX) return ws.terminate()
    if (message.type !== 'beat') link.sent = message.revision
    ws.send(JSON.stringify(message))
  }

  #beat(): void {
    const nowMs = performance.now()
    for (const link of this.#links) {
      if (nowMs - link.heardAtMs > SILENT_MS) {
        link.ws.terminate()
        continue
      }
      if (!this.#mayStay(link)) continue
      this.#send(link, { type: 'beat' })
      if (nowMs - link.seenAtMs < SEEN_MS) continue
      link.seenAtMs = nowMs
      this.#gateways.seen(link.gateway.id).catch((err: unknown) => {
        this.#deployment.log.warn('that a gateway is there could not be noted', { err })
      })
    }
  }

  isConnected(gatewayId: string): boolean {
    return [...this.#links].some(({ gateway }) => gateway.id === gatewayId)
  }

  acknowledged(): Promise<void> {
    const awaited = [...this.#links].map((link) => ({ link, revision: link.sent }))
    const isDone = (): boolean =>
      awaited.every(({ link, revision }) => link.acked >= revision || !this.#links.has(link))
    if (isDone()) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      const look = (): void => {
        if (isDone()) finish()
      }
      const timer = setTimeout(finish, ACKNOWLEDGE_MS)
      this.#waiting.add(look)
    })
  }

  #tell(): void {
    for (const look of this.#waiting) look()
  }

  close(): void {
    clearInterval(this.#beats)
    for (const { ws } of this.#links) {
      ws.close(1001, 'the server stops')
      setTimeout(() => ws.terminate(), 500).unref()
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // told apart by the schema
  }
}

/** Feeds gateways in other processes until it is closed. */
export function gatewayLinks(deployment: Deployment, gateways: Gateways): GatewayLinks {
  return new Links(deployment, gateways)
}
