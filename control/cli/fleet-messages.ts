/** What the process of a gateway and its workers say to each other; both sides are of one version. */
import type { CapLimits, HeldUse, ListenAddress, MetricsSnapshot } from '../../gateway/seams.ts'
import type { EdgeFact } from '../wire/index.ts'
import type { AccessLogChoice } from './access-log.ts'
import type { Listening } from './listeners.ts'
import type { LogOptions } from './log.ts'
import type { TracingChoice } from './tracing.ts'

/** What a worker is made of; another one means another worker. */
export interface WorkerSettings {
  readonly listening: Listening
  readonly caps: CapLimits
  readonly authzListen: ListenAddress | null
  readonly trustedProxies: readonly string[]
  readonly forwardedHeader: boolean
  readonly baseDomain: string
  readonly pathUrl: string | null
  /** base64url */
  readonly flowKey: string
  readonly serverUrl: string
  readonly staleMs: number
  readonly log: LogOptions
  readonly accessLog: AccessLogChoice
  readonly tracing: TracingChoice
}

export interface WholeSet {
  readonly revision: number
  readonly facts: readonly EdgeFact[]
}

/** What a worker begins with. */
export interface Held extends WholeSet {
  /** Since control was heard, ms. */
  readonly heardMsAgo: number
  /** With which control is asked; '' while there is none. */
  readonly token: string
}

export type ToWorker =
  /** The first. */
  | ({ readonly type: 'begin'; readonly settings: WorkerSettings; readonly workers: number } & Held)
  | ({ readonly type: 'reset' } & WholeSet)
  | ({ readonly type: 'apply' } & WholeSet)
  /** Control said that all is as it was. */
  | { readonly type: 'heard' }
  /** Control is asked with this one from now on; '': it can't be asked. */
  | { readonly type: 'token'; readonly token: string }
  /** Whether every worker can decide. */
  | { readonly type: 'ready'; readonly isReady: boolean }
  /** What all others hold of what is capped, where that is new. */
  | { readonly type: 'others'; readonly rows: readonly HeldUse[] }
  /** Asks for its counts. */
  | { readonly type: 'count'; readonly id: number }
  /** The text that it asked for. */
  | { readonly type: 'metrics'; readonly id: number; readonly text: string }
  | { readonly type: 'drain'; readonly ms: number }

export type FromWorker =
  /** The first: it hears now. */
  | { readonly type: 'hello' }
  | {
      readonly type: 'listening'
      readonly addresses: readonly ListenAddress[]
      readonly authzAddress: ListenAddress | null
    }
  /** It can't listen; what of the error a person needs. */
  | {
      readonly type: 'failed'
      readonly error: {
        readonly message: string
        readonly code?: string
        readonly syscall?: string
        readonly address?: string
        readonly port?: number
      }
    }
  /** It decides by this revision, and whether it decides at all. */
  | { readonly type: 'decides'; readonly revision: number; readonly isReady: boolean }
  | { readonly type: 'counted'; readonly id: number; readonly counts: MetricsSnapshot }
  /** What it holds of what is capped, where that is new. */
  | { readonly type: 'holds'; readonly rows: readonly HeldUse[] }
  /** Asks for the metrics of all. */
  | { readonly type: 'metrics'; readonly id: number }
