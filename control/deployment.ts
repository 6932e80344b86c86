/** What every part of control is given: the feed of the store, the operator's options, the vault, the audit, the templates. */
import type { Logger } from '@postern/plugin'
import type { Feed } from './feed/feed.ts'
import type { Vault } from './credentials/secrets.ts'
import type { Audit } from './audit/audit.ts'
import type { ControlOptions } from './seams.ts'
import type { Template } from './lifecycle/spec.ts'

export interface Deployment {
  /** Constant for the deployment; in every label of every host. */
  readonly id: string
  readonly feed: Feed
  readonly options: ControlOptions
  readonly vault: Vault
  readonly audit: Audit
  readonly templates: ReadonlyMap<string, Template>
  readonly log: Logger
  now(): number
}
