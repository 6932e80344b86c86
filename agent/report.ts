/** What the agent says of each workspace: desired, observed, failures and work in flight in, statuses out. Pure. */
import type { EpochMs, Health, Instance, Progress, WorkspaceId } from '@postern/plugin'
import type { Desired, DesiredEntry, ReasonCode, Report, Status } from '../control/wire/index.ts'
import type { Verb } from './action.ts'
import { byWorkspace, type Failure, type Failures, type Trouble } from './failures.ts'
import { dueAt, type PlanLimits } from './plan.ts'
import { entryId, goalOf, nextStep } from './step.ts'

/**
 * An action at work, or one that ended and whose effect was not looked at since: what is there is unknown then, and
 * `absent` must not be told, since control forgets a workspace of which nothing is left.
 */
export interface Work {
  readonly verb: Verb
  readonly progress: Progress | null
  readonly hasFailed: boolean
}

export interface ReportInput {
  readonly desired: Desired | 'unknown'
  readonly observed: readonly Instance[] | 'unknown'
  readonly failures: Failures
  readonly inFlight: ReadonlyMap<WorkspaceId, Work>
  /** Incarnation → since when it runs. */
  readonly runningSince: ReadonlyMap<string, EpochMs>
  readonly now: EpochMs
  readonly limits: PlanLimits
}

const reasonOf: Readonly<Record<Trouble, ReasonCode>> = {
  ERR_INVALID_SPEC: 'invalid_spec',
  ERR_UNSUPPORTED: 'unsupported',
  ERR_CONFLICT: 'conflict',
  ERR_NOT_FOUND: 'internal',
  ERR_IMAGE_UNAVAILABLE: 'image_unavailable',
  ERR_PROGRAM_UNAVAILABLE: 'program_unavailable',
  ERR_NO_CAPACITY: 'no_capacity',
  ERR_PERMISSION: 'permission',
  ERR_UNAVAILABLE: 'runtime_unavailable',
  ERR_TIMEOUT: 'timeout',
  ERR_CLOSED: 'runtime_unavailable',
  ERR_INTERNAL: 'internal',
  exited: 'exited',
  vanished: 'vanished',
  no_effect: 'internal',
}

/** The reason code that people see for a failure: of the runtime's error, or of how the program ended. */
export function reasonFor(failure: Pick<Failure, 'code' | 'exit'>): ReasonCode {
  return failure.code === 'exited' && failure.exit?.oom === true ? 'oom' : reasonOf[failure.code]
}

/** Everything that the agent knows, whole. */
export function reportOf(input: ReportInput, health: Health): Report {
  return {
    revision: input.desired === 'unknown' ? 0 : input.desired.revision,
    observed: input.observed !== 'unknown',
    health: {
      status: health.status,
      message: health.message.slice(0, 500),
      warnings: (health.warnings ?? []).slice(0, 20).map((warning) => warning.slice(0, 500)),
    },
    workspaces: statuses(input),
  }
}

/** One status for each workspace that is desired or there, by id; none while the runtime can't be read. */
export function statuses(input: ReportInput): Status[] {
  if (input.observed === 'unknown') return []
  const there = byWorkspace(input.observed)
  const desired = input.desired === 'unknown' ? [] : input.desired.workspaces
  const entries = new Map(desired.map((entry) => [entryId(entry), entry]))
  const ids = [...new Set([...entries.keys(), ...there.keys()])].sort()
  return ids.map((id) => status(id, entries.get(id), there.get(id) ?? [], input))
}

function status(
  id: WorkspaceId,
  entry: DesiredEntry | undefined,
  there: readonly Instance[],
  input: ReportInput,
): Status {
  const instance = there.find((each) => each.state !== 'retained') ?? there[0]
  const failure = failureFor(id, entry, input)
  const work = input.inFlight.get(id)
  const since = instance === undefined ? undefined : input.runningSince.get(instance.incarnation)
  const exit = instance?.exit ?? failure?.exit
  const reason = failure === undefined ? undefined : reasonOfStatus(id, entry, there, failure, input)
  return {
    id,
    state: stateOf(entry, instance, work, reason !== undefined),
    generation: instance?.generation ?? 0,
    incarnation: instance?.incarnation ?? '',
    reach: reachOf(instance),
    ...(instance?.diskBytes === undefined ? {} : { diskBytes: instance.diskBytes }),
    ...(instance?.state === 'running' && since !== undefined ? { startedAtMs: since } : {}),
    ...(reason === undefined ? {} : { reason }),
    ...(exit === undefined || exit === null ? {} : { exit: { ...exit } }),
    ...(work?.progress ? { progress: progressOf(work.progress) } : {}),
  }
}

function failureFor(
  id: WorkspaceId,
  entry: DesiredEntry | undefined,
  input: ReportInput,
): Failure | undefined {
  if (input.desired === 'unknown') return undefined
  const failure = input.failures.get(id)
  return failure?.goal === goalOf(entry) && failure.count > 0 ? failure : undefined
}

function stateOf(
  entry: DesiredEntry | undefined,
  instance: Instance | undefined,
  work: Work | undefined,
  failed: boolean,
): Status['state'] {
  const isFailed = entry?.want === 'running' && failed
  if (work !== undefined) {
    if (work.hasFailed && isFailed) return 'failed'
    if (work.verb !== 'start') return 'stopping'
    return work.progress?.step === 'pulling' ? 'pulling' : 'starting'
  }
  if (isFailed && instance?.state !== 'running') return 'failed'
  return instance?.state ?? 'absent'
}

function reasonOfStatus(
  id: WorkspaceId,
  entry: DesiredEntry | undefined,
  there: readonly Instance[],
  failure: Failure,
  input: ReportInput,
): Status['reason'] {
  if (failure.settledAtMs !== null) return undefined
  const action = nextStep(id, entry, there, failure, input.limits.stopGraceMs)
  if (action === null) return undefined
  // A runtime may take its time to bring a program up; that is no failure to tell of.
  if (failure.code === 'no_effect' && action.do === 'start') return undefined
  // While it is tried again the reason stays, without a time.
  const isAtWork = input.inFlight.get(id)?.hasFailed === false
  const at = isAtWork ? Infinity : dueAt(action, failure, input.now)
  return {
    code: reasonFor(failure),
    message: failure.message.slice(0, 2000),
    atMs: failure.atMs,
    ...(at === Infinity ? {} : { nextTryAtMs: at }),
  }
}

function reachOf(instance: Instance | undefined): Status['reach'] {
  const reach = instance?.reach
  if (reach === undefined) return { kind: 'none' }
  return reach.kind === 'ports' ? { ...reach, ports: { ...reach.ports } } : { ...reach }
}

function progressOf(progress: Progress): NonNullable<Status['progress']> {
  return { ...progress, message: progress.message.slice(0, 500) }
}
