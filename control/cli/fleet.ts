/** Facts and orders come in; the workers of one gateway are kept running, each replaced when it ends, all of them for new settings. */
import cluster, { type Worker } from 'node:cluster'
import { fileURLToPath } from 'node:url'
import type { Logger } from '@postern/plugin'
import { SharedUses } from '../../gateway/index.ts'
import type { HeldUse, ListenAddress } from '../../gateway/seams.ts'
import type { EdgeFact } from '../wire/index.ts'
import { CountSum } from './fleet-counts.ts'
import { heapFlags } from './heap.ts'
import type { LogOptions } from './log.ts'
import type { FromWorker, Held, ToWorker, WorkerSettings } from './fleet-messages.ts'

export interface FleetOptions {
  readonly workers: number
  readonly settings: WorkerSettings
  /** The facts as they are now, for a worker that begins. */
  readonly held: () => Held
  /** Every worker decides by this revision now. */
  readonly onDecided: (revision: number) => void
  /** Prometheus text of the process above the workers. */
  readonly ownMetrics: () => Promise<string>
  readonly log: Logger
}

export interface Addresses {
  readonly addresses: readonly ListenAddress[]
  readonly authzAddress: ListenAddress | null
}

interface Member {
  readonly worker: Worker
  /** 1 and up. */
  readonly slot: number
  readonly bornMs: number
  state: 'starting' | 'serving' | 'leaving'
  /** What is sent before is lost. */
  hears: boolean
  revision: number
  isReady: boolean
  /** What it was told of all. */
  toldReady: boolean
}

const FIRST_WAIT_MS = 100
const MAX_WAIT_MS = 10_000
/** A worker that lived so long did not fail at its start, in ms. */
const LIVED_MS = 10_000
/** Beyond the drain period a worker is killed, in ms. */
const OVERTIME_MS = 5000

/** The workers of one gateway. */
export class Fleet {
  restarts = 0
  readonly #options: FleetOptions
  readonly #members = new Set<Member>()
  readonly #counts: CountSum
  readonly #uses = new SharedUses<Member>()
  #settings: WorkerSettings
  #workers: number
  #failures = 0
  #drainMs: number | null = null
  #wasReady = false
  #decided = -1
  #reloading: Promise<void> = Promise.resolve()

  constructor(options: FleetOptions) {
    this.#options = options
    this.#settings = options.settings
    this.#workers = options.workers
    this.#counts = new CountSum(options.ownMetrics)
    // Workers take connections by themselves: what this process has handed to one that was just killed would hang for ever.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    const exec = fileURLToPath(new URL('gateway-worker.js', import.meta.url))
    cluster.setupPrimary({ exec, args: [], execArgv: [...process.execArgv, ...heapFlags] })
  }

  /** Workers that serve. */
  get serving(): number {
    return this.#in('serving').length
  }

  /** Starts all of them; resolves when they listen. @throws the first's error of listening */
  async start(): Promise<Addresses> {
    const all = await Promise.all(Array.from({ length: this.#workers }, () => this.#spawn()))
    return all[0] as Addresses
  }

  reset(revision: number, facts: readonly EdgeFact[]): void {
    this.#toAll({ type: 'reset', revision, facts })
  }

  apply(revision: number, facts: readonly EdgeFact[]): void {
    this.#toAll({ type: 'apply', revision, facts })
  }

  heard(): void {
    this.#toAll({ type: 'heard' })
  }

  token(token: string): void {
    this.#toAll({ type: 'token', token })
  }

  /** New workers serve before the old ones drain. Where a new one can't start, all stays as it was. */
  reload(settings: WorkerSettings, workers: number, drainMs: number): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#replaceAll(settings, workers, drainMs))
    return this.#reloading
  }

  /** Not ready first, then all drain; resolves when none is left. */
  async close(drainMs: number): Promise<void> {
    this.#drainMs = drainMs
    this.#tellReady()
    await Promise.all([...this.#members].map((member) => this.#leave(member, drainMs)))
  }

  async #replaceAll(settings: WorkerSettings, workers: number, drainMs: number): Promise<void> {
    if (this.#drainMs !== null) return
    const old = [...this.#members]
    const before = { settings: this.#settings, workers: this.#workers }
    this.#settings = settings
    this.#workers = workers
    try {
      await Promise.all(Array.from({ length: workers }, () => this.#spawn()))
    } catch (err) {
      this.#settings = before.settings
      this.#workers = before.workers
      for (const member of this.#members) if (!old.includes(member)) this.#kill(member)
      this.#options.log.error('new workers cannot start; the old ones go on', { err })
      return
    }
    this.#options.log.info('new workers serve; the old ones drain', { workers })
    await Promise.all(old.map((member) => this.#leave(member, drainMs)))
  }

  #in(state: Member['state']): Member[] {
    return [...this.#members].filter((member) => member.state === state)
  }

  #toAll(message: ToWorker): void {
    for (const member of this.#members) send(member, message)
  }

  #spawn(): Promise<Addresses> {
    const worker = cluster.fork()
    const member: Member = {
      worker,
      slot: this.#freeSlot(),
      bornMs: performance.now(),
      state: 'starting',
      hears: false,
      revision: -1,
      isReady: false,
      toldReady: false,
    }
    this.#members.add(member)
    const made = this.#settings
    return new Promise((resolve, reject) => {
      let failure: Error | null = null
      worker.on('error', () => undefined)
      worker.on('message', (message: FromWorker) => {
        if (message.type === 'hello') {
          member.hears = true
          const settings = { ...made, log: this.#logOf(member) }
          send(member, { type: 'begin', settings, workers: this.#workers, ...this.#options.held() })
          this.#tellUses([[member, this.#uses.all(member)]])
        } else if (message.type === 'failed')
          failure = Object.assign(new Error(message.error.message), message.error)
        else if (message.type === 'listening') {
          if (member.state === 'starting') member.state = 'serving'
          this.#tellReady()
          resolve(message)
        } else this.#take(member, message)
      })
      worker.once('exit', (code, signal) => {
        const wasStarting = member.state === 'starting'
        reject(failure ?? new Error(`a worker ended before it listened (${signal ?? code})`))
        this.#gone(member, code, signal)
        if (wasStarting && failure === null)
          this.#options.log.error('a worker cannot start', { code, signal })
      })
    })
  }

  #freeSlot(): number {
    const taken = new Set([...this.#members].map(({ slot }) => slot))
    let slot = 1
    while (taken.has(slot)) slot++
    return slot
  }

  /** A file of its own, the lowest number that is free: a file has one writer. */
  #logOf({ slot }: Member): LogOptions {
    const { log } = this.#settings
    return { ...log, name: `${log.name}-${slot}` }
  }

  #take(member: Member, message: Exclude<FromWorker, { type: 'hello' | 'listening' | 'failed' }>): void {
    switch (message.type) {
      case 'decides':
        member.revision = message.revision
        member.isReady = message.isReady
        this.#tellReady()
        this.#tellDecided()
        return
      case 'holds':
        return this.#tellUses(this.#uses.said(member, message.rows, this.#members))
      case 'counted':
        return this.#counts.counted(member, message.id, message.counts)
      case 'metrics': {
        const living = [...this.#members].filter(({ hears }) => hears)
        const ask = (id: number): void => {
          for (const member of living) send(member, { type: 'count', id })
        }
        this.#counts.text(living, ask).then(
          (text) => send(member, { type: 'metrics', id: message.id, text }),
          (err: unknown) => this.#options.log.error('metrics failed', { err }),
        )
      }
    }
  }

  #tellUses(told: Iterable<readonly [Member, readonly HeldUse[]]>): void {
    for (const [member, rows] of told) if (rows.length > 0) send(member, { type: 'others', rows })
  }

  #tellReady(): void {
    const serving = this.#in('serving')
    const isReady = this.#drainMs === null && serving.length > 0 && serving.every((each) => each.isReady)
    for (const member of this.#members) {
      if (!member.hears || member.toldReady === isReady) continue
      member.toldReady = isReady
      send(member, { type: 'ready', isReady })
    }
    if (isReady !== this.#wasReady) this.#options.log.info(isReady ? 'ready' : 'not ready', {})
    this.#wasReady = isReady
  }

  #tellDecided(): void {
    const decided = Math.min(...[...this.#members].map(({ revision }) => revision))
    if (decided < 0 || decided === this.#decided) return
    this.#decided = decided
    this.#options.onDecided(decided)
  }

  #gone(member: Member, code: number | null, signal: string | null): void {
    const { state } = member
    this.#members.delete(member)
    this.#counts.retire(member)
    this.#tellUses(this.#uses.retire(member, this.#members))
    this.#tellReady()
    this.#tellDecided()
    if (state !== 'serving' || this.#drainMs !== null) return
    const lived = performance.now() - member.bornMs
    this.#failures = lived > LIVED_MS ? 1 : this.#failures + 1
    const waitMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.#failures - 1))
    this.#options.log.error('a worker ended; its streams with it', { code, signal, waitMs })
    this.#replace(waitMs)
  }

  #replace(waitMs: number): void {
    setTimeout(() => {
      if (this.#drainMs !== null || this.#in('serving').length >= this.#workers) return
      this.restarts++
      this.#spawn().then(
        () => this.#options.log.info('a worker was replaced'),
        () => this.#replace(Math.min(MAX_WAIT_MS, waitMs * 2)),
      )
    }, waitMs)
  }

  #leave(member: Member, drainMs: number): Promise<void> {
    if (member.worker.isDead()) return Promise.resolve()
    member.state = 'leaving'
    return new Promise((resolve) => {
      const overtime = setTimeout(() => member.worker.process.kill('SIGKILL'), drainMs + OVERTIME_MS)
      member.worker.once('exit', () => {
        clearTimeout(overtime)
        resolve()
      })
      send(member, { type: 'drain', ms: drainMs })
    })
  }

  #kill(member: Member): void {
    member.state = 'leaving'
    member.worker.process.kill('SIGKILL')
  }
}

/** What comes before it hears is in the set that it begins with; what an ended worker can't take is of no use to it. */
function send({ worker, hears }: Member, message: ToWorker): void {
  if (hears && worker.isConnected()) worker.send(message, () => undefined)
}
