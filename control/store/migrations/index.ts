/** The migrations in their order, kept in code so that no folder is read at run time. Names never change. */
import type { Knex } from 'knex'
import { up as init } from './0001-init.ts'
import { up as edgePorts } from './0002-edge-ports.ts'
import { up as gateways } from './0003-gateways.ts'
import { up as audit } from './0004-audit.ts'
import { up as signingKeys } from './0005-signing-keys.ts'
import { up as sessionVia } from './0006-session-via.ts'
import { up as grants } from './0007-grants.ts'
import { up as names } from './0008-names.ts'
import { up as accountLinks } from './0009-account-links.ts'
import { up as identities } from './0010-identities.ts'
import { up as links } from './0011-links.ts'
import { up as hooks } from './0012-hooks.ts'
import { up as quotas } from './0013-quotas.ts'
import { up as tokenBounds } from './0014-token-bounds.ts'
import { up as restrictions } from './0015-restrictions.ts'
import { up as accessRequests } from './0016-access-requests.ts'
import { up as signingPurpose } from './0017-signing-purpose.ts'
import { up as hooksDropped } from './0018-hooks-dropped.ts'
import { up as disk } from './0019-disk.ts'

export interface Migration {
  readonly name: string
  up(db: Knex): Promise<void>
}

export const migrations: readonly Migration[] = [
  { name: '0001-init', up: init },
  { name: '0002-edge-ports', up: edgePorts },
  { name: '0003-gateways', up: gateways },
  { name: '0004-audit', up: audit },
  { name: '0005-signing-keys', up: signingKeys },
  { name: '0006-session-via', up: sessionVia },
  { name: '0007-grants', up: grants },
  { name: '0008-names', up: names },
  { name: '0009-account-links', up: accountLinks },
  { name: '0010-identities', up: identities },
  { name: '0011-links', up: links },
  { name: '0012-hooks', up: hooks },
  { name: '0013-quotas', up: quotas },
  { name: '0014-token-bounds', up: tokenBounds },
  { name: '0015-restrictions', up: restrictions },
  { name: '0016-access-requests', up: accessRequests },
  { name: '0017-signing-purpose', up: signingPurpose },
  { name: '0018-hooks-dropped', up: hooksDropped },
  { name: '0019-disk', up: disk },
]
