/** What a person uses and may use in, what a new workspace would take; lines and refusals for people out. */
import type { FieldProblem } from '../../../control/wire/api-error.ts'
import type { Standing } from '../../../control/wire/quota.ts'
import { bytesText, coresText } from './units.ts'

/** One limit, as a meter shows it. */
export interface QuotaLine {
  readonly label: string
  readonly text: string
  readonly used: number
  readonly max: number
}

const kinds = [
  ['workspaces', 'Workspaces', String],
  ['running', 'Running', String],
  ['cpu', 'CPU', (n: number) => String(Math.round(n * 100) / 100)],
  ['memoryBytes', 'Memory', bytesText],
  ['diskBytes', 'Disk', bytesText],
] as const satisfies readonly [keyof Standing, string, (n: number) => string][]

/** The limits that there are, in a fixed order; what has no bound is left out. */
export function quotaLines(standing: Standing): QuotaLine[] {
  return kinds.flatMap(([key, label, show]) => {
    const row = standing[key]
    if (row === undefined || row.max === null) return []
    return [{ label, text: `${show(row.used)} of ${show(row.max)}`, used: row.used, max: row.max }]
  })
}

/** What a workspace that runs at once would take: cores and bytes, null where that isn't known. */
export interface Wanted {
  readonly cpu: number | null
  readonly memoryBytes: number | null
  readonly diskBytes: number | null
}

/**
 * What the server would refuse, before it is asked: at the field, or (path '') for the whole. `group`: the name of the
 * group whose standing it is; null: the person's own.
 */
export function quotaProblems(
  standing: Standing,
  wanted: Wanted,
  group: string | null = null,
): FieldProblem[] {
  const [has, its] = group === null ? ['You have', 'Your'] : [`${group} has`, `${group}’s`]
  const { workspaces, running, cpu, memoryBytes, diskBytes } = standing
  const problems: FieldProblem[] = []
  const isFull = (row: Standing['workspaces']) => row.max !== null && row.used >= row.max
  if (isFull(workspaces))
    problems.push({
      path: '',
      message: `${has} ${workspaces.used} of ${workspaces.max} workspaces. Delete one first.`,
    })
  if (isFull(running))
    problems.push({
      path: '',
      message: `${has} ${running.used} of ${running.max} running. Stop one first.`,
    })
  const left = (row: Standing['workspaces'] | undefined, more: number | null): number | null =>
    row === undefined || row.max === null || more === null || row.used + more <= row.max
      ? null
      : Math.max(0, row.max - row.used)
  const cores = left(cpu, wanted.cpu)
  if (cores !== null)
    problems.push({ path: 'cpu', message: `${its} quota leaves ${coresText(cores)}. Stop one first.` })
  const bytes = left(memoryBytes, wanted.memoryBytes)
  if (bytes !== null)
    problems.push({
      path: 'memoryBytes',
      message: `${its} quota leaves ${bytesText(bytes)}. Stop one first.`,
    })
  const disk = left(diskBytes, wanted.diskBytes)
  if (disk !== null)
    problems.push({
      path: 'diskBytes',
      message: `${its} quota leaves ${bytesText(disk)}; stopped and trashed ones count too.`,
    })
  return problems
}

/** How a session was signed in, as people say it: `oidc:company` is `company`. */
export function viaText(via: string): string {
  if (via.startsWith('oidc:')) return via.slice(5)
  const words: Record<string, string> = {
    password: 'password',
    setup: 'set-up link',
    reset: 'reset link',
    invitation: 'invitation',
  }
  return words[via] ?? via
}
