/** What a workspace's phase looks like, which word stands beside it, and what can be done about it. Pure. */
import { mayAct, mayOpen } from './roles.ts'
import type { HostView } from '../../../control/wire/account.ts'
import { cappedVisibility, isWithinCap, visibilities } from '../../../control/wire/port-rules.ts'
import type { Visibility } from '../../../control/wire/ports.ts'
import type { Phase, WorkspaceView } from '../../../control/wire/workspace.ts'
import { span } from './time.ts'

/** Filled dot, turning ring, hollow ring, square. Colour never says it alone. */
export type Look = 'ok' | 'wait' | 'idle' | 'bad'

const looks: Record<Phase, Look> = {
  pending: 'wait',
  pulling: 'wait',
  building: 'wait',
  starting: 'wait',
  running: 'ok',
  stopping: 'wait',
  stopped: 'idle',
  failed: 'bad',
  removing: 'wait',
  trashed: 'idle',
}

const words: Record<Phase, string> = {
  pending: 'waiting',
  pulling: 'fetching its image',
  building: 'building its image',
  starting: 'starting',
  running: 'running',
  stopping: 'stopping',
  stopped: 'stopped',
  failed: 'failed',
  removing: 'being removed',
  trashed: 'in the trash',
}

/** How a phase is marked. */
export function lookOf(phase: Phase): Look {
  return looks[phase]
}

/** The word beside the mark. */
export function phaseWord(phase: Phase): string {
  return words[phase]
}

/** The word with how long: `running for 3 h`, `fetching its image 40 %`. */
export function phaseLine(workspace: WorkspaceView, nowMs: number): string {
  const word = words[workspace.phase]
  if (workspace.phase === 'running' && workspace.startedAtMs !== undefined)
    return `${word} for ${span(nowMs - workspace.startedAtMs)}`
  const { done, total } = workspace.progress ?? {}
  if (looks[workspace.phase] === 'wait' && done !== undefined && total !== undefined && total > 0)
    return `${word} ${Math.floor((100 * done) / total)} %`
  return word
}

export type Act = 'open' | 'start' | 'stop' | 'restart' | 'restore' | 'purge' | 'trash'

/**
 * The one primary act and the others, in order. A workspace on its way up opens too: the edge's page waits for it.
 * `byOffice`: who looks at it is an administrator. Only what they may do is offered.
 */
export function actsOf(
  workspace: WorkspaceView,
  byOffice: boolean,
): { primary: Act | null; others: readonly Act[] } {
  const { primary, others } = actsByPhase(workspace)
  const may = (act: Act): boolean =>
    act === 'open' ? mayOpen(workspace) : mayAct(act, workspace.role, byOffice)
  return { primary: primary !== null && may(primary) ? primary : null, others: others.filter(may) }
}

function actsByPhase(workspace: WorkspaceView): { primary: Act | null; others: readonly Act[] } {
  switch (workspace.phase) {
    case 'trashed':
      return { primary: 'restore', others: ['purge'] }
    case 'removing':
      return { primary: null, others: [] }
    case 'stopped':
    case 'stopping':
      return { primary: 'start', others: ['trash'] }
    case 'failed':
      return workspace.want === 'running'
        ? { primary: 'restart', others: ['stop', 'trash'] }
        : { primary: 'start', others: ['trash'] }
    default:
      return { primary: 'open', others: ['stop', 'restart', 'trash'] }
  }
}

/** What `s` does: start what doesn't run, stop what does or is about to. Null when neither makes sense. */
export function toggleOf(workspace: WorkspaceView): 'start' | 'stop' | null {
  if (workspace.want === 'removed') return null
  return workspace.want === 'running' ? 'stop' : 'start'
}

/** Who may open a port, as a sentence's end. */
export const visibilityText: Record<Visibility, string> = {
  owner: 'its owner alone',
  shared: 'people you share it with',
  members: 'everyone signed in',
  link: 'everyone with the link',
  public: 'everyone, without signing in',
}

/** What a form offers under the administrator's cap; `barred` says why one can't be chosen. What is set already stays. */
export function offeredVisibilities(
  set: Visibility,
  cap: Visibility,
): readonly { readonly visibility: Visibility; readonly barred: string | null }[] {
  return visibilities.map((visibility) => ({
    visibility,
    barred:
      visibility === set || isWithinCap(visibility, cap) ? null : `an administrator allows at most ${cap}`,
  }))
}

/** Who may really open a port that is declared wider than the cap; null: it is within it. */
export function narrowedTo(set: Visibility, cap: Visibility): Visibility | null {
  const narrowed = cappedVisibility(set, cap)
  return narrowed === set ? null : narrowed
}

/** The URL of any port, made from the default one: the port goes behind the name in the first label. */
export function portUrl(workspace: WorkspaceView, port: number): string {
  const known = workspace.urls.ports[String(port)]
  if (known !== undefined) return known
  const url = new URL(workspace.urls.default)
  const [, ...base] = url.hostname.split('.')
  url.hostname = [`${workspace.name}-${port}`, ...base].join('.')
  return url.href
}

/** A URL as a person reads it: no scheme, no slash at the end. */
export function bareUrl(url: string): string {
  return url.replace(/^https?:\/\//, '').replace(/\/$/, '')
}

/** How a host is marked: away and unhealthy are bad, warnings wait for somebody. */
export function hostLook(host: HostView): Look {
  if (!host.connected || host.health.status === 'unhealthy') return 'bad'
  return host.health.warnings.length > 0 || host.health.status !== 'healthy' ? 'wait' : 'ok'
}
