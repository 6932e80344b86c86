/** The owner's wish and the host's word go in; the phase that people see comes out, with its reason. Pure. */
import { reasonCodes } from '../wire/index.ts'
import type { Phase, ReasonCode, Status } from '../wire/index.ts'

export interface Evidence {
  readonly want: 'running' | 'stopped' | 'removed'
  readonly data: 'keep' | 'delete'
  /** Holds one of the places that the caps give. */
  readonly admitted: boolean
  readonly generation: number
  /** Null: not placed yet. */
  readonly host: { readonly connected: boolean; readonly name: string } | null
  readonly status: Status | null
  /** The host had seen the last change of what is wanted when it said so. */
  readonly fresh: boolean
  /** What its host's runtime lacks for it, such as after a change of runtime; null: nothing. */
  readonly lacks: string | null
  /** Why no host takes it, where that is known. */
  readonly waiting: string | null
}

export interface Appearance {
  readonly phase: Phase
  readonly code: ReasonCode
  readonly message: string
  readonly nextTryAtMs?: number
}

const appear = (phase: Phase, code: ReasonCode, message?: string | null): Appearance => ({
  phase,
  code,
  message: message ?? reasonCodes[code].text,
})

/** The phase with the host's own reason, where it gave one. */
function told(phase: Phase, status: Status, fallback: ReasonCode): Appearance {
  const { reason } = status
  if (reason === undefined) return appear(phase, fallback)
  return {
    phase,
    code: reason.code,
    message: reason.message || reasonCodes[reason.code].text,
    ...(reason.nextTryAtMs === undefined ? {} : { nextTryAtMs: reason.nextTryAtMs }),
  }
}

const lively: ReadonlySet<Status['state']> = new Set(['pulling', 'starting', 'running', 'stopping'])

function wantRunning(evidence: Evidence): Appearance {
  const { status } = evidence
  if (!evidence.admitted)
    return appear(status !== null && lively.has(status.state) ? 'stopping' : 'pending', 'cap_reached')
  if (evidence.host === null) return appear('pending', 'waiting_for_host', evidence.waiting)
  if (evidence.lacks !== null) return appear('failed', 'unsupported', evidence.lacks)
  if (status === null) return appear('pending', 'placed')
  if (!evidence.fresh) return appear('starting', status.state === 'running' ? 'spec_changed' : 'starting')
  switch (status.state) {
    case 'running':
      return status.generation === evidence.generation
        ? appear('running', 'running')
        : appear('starting', 'spec_changed')
    case 'pulling':
      return told('pulling', status, 'pulling')
    case 'failed':
      return told('failed', status, 'internal')
    case 'absent':
    case 'retained':
    case 'stopped':
      return status.reason === undefined ? appear('starting', 'starting') : told('failed', status, 'internal')
    case 'starting':
    case 'stopping':
      return told('starting', status, 'starting')
  }
}

function wantStopped({ host, status, fresh }: Evidence): Appearance {
  if (host === null) return appear('stopped', 'requested')
  if (status === null || !fresh) {
    const quiet = status !== null && !lively.has(status.state)
    return appear(quiet ? 'stopped' : 'stopping', 'requested')
  }
  return lively.has(status.state)
    ? told('stopping', status, 'requested')
    : told('stopped', status, 'requested')
}

function wantRemoved({ data, host, status, fresh }: Evidence): Appearance {
  if (data === 'delete')
    return status === null || !fresh ? appear('removing', 'purged') : told('removing', status, 'purged')
  if (host === null) return appear('trashed', 'trashed')
  if (fresh && status !== null && (status.state === 'retained' || status.state === 'absent'))
    return appear('trashed', 'trashed')
  return status === null || !fresh ? appear('removing', 'trashed') : told('removing', status, 'trashed')
}

/** Phase and reason of one workspace; while its host is away the phase stays, and the reason says so. */
export function deriveAppearance(evidence: Evidence): Appearance {
  const appearance =
    evidence.want === 'running'
      ? wantRunning(evidence)
      : evidence.want === 'stopped'
        ? wantStopped(evidence)
        : wantRemoved(evidence)
  const settled =
    appearance.phase === 'trashed' || (appearance.phase === 'stopped' && evidence.status === null)
  if (evidence.host === null || evidence.host.connected || settled) return appearance
  return {
    phase: appearance.phase,
    code: 'host_away',
    message: `Its host ${evidence.host.name} does not report.`,
  }
}
