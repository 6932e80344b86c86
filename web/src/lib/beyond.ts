/** What a workspace has of its host (GPUs, folders, network), as it is typed; what is wrong with it; and what is sent. */
import type { HostView } from '../../../control/wire/account.ts'
import type { FieldProblem } from '../../../control/wire/api-error.ts'
import { isPlainPath, isUnder, PLAIN_PATH, targetProblem } from '../../../control/wire/mount-rules.ts'
import type { Limits, PatchWorkspace, SpecView } from '../../../control/wire/workspace.ts'
import { counted } from './units.ts'

export interface MountRow {
  readonly key: number
  source: string
  target: string
  readOnly: boolean
}
/** As it is typed; no GPUs are an empty text. */
export interface BeyondDraft {
  gpus: string
  mounts: MountRow[]
  hostNetwork: boolean
}
type Beyond = Pick<SpecView, 'gpus' | 'mounts' | 'networks'>

/** The form of what a spec or a template has; `key` gives each row its own. */
export function beyondDraft(it: Beyond | null, key: () => number): BeyondDraft {
  return {
    gpus: it === null || it.gpus === 0 ? '' : String(it.gpus),
    mounts: (it?.mounts ?? []).map((mount) => ({ key: key(), ...mount })),
    hostNetwork: it?.networks.includes('host') ?? false,
  }
}

/** What may be had, or is there already: that can at least be taken out. */
export function beyondShown(draft: BeyondDraft, limits: Limits) {
  const gpus = limits.gpus !== undefined || draft.gpus !== ''
  const mounts = limits.mounts !== undefined || draft.mounts.length > 0
  const network = limits.hostNetwork || draft.hostNetwork
  return { gpus, mounts, network, any: gpus || mounts || network }
}

const gpusOf = (text: string): number | null => {
  const typed = text.trim()
  return typed === '' ? 0 : /^\d{1,3}$/.test(typed) ? Number(typed) : null
}

/** What the server would refuse, as far as it can be known here. */
export function beyondProblems(draft: BeyondDraft, limits: Limits): FieldProblem[] {
  const gpus = gpusOf(draft.gpus)
  const most = limits.gpus?.max ?? 0
  const problems: FieldProblem[] = []
  if (gpus === null) problems.push({ path: 'gpus', message: 'A whole number, such as 1.' })
  else if (gpus > most) problems.push({ path: 'gpus', message: `At most ${most} here.` })
  draft.mounts.forEach(({ source, target }, at) => {
    const under = limits.mounts?.under ?? []
    if (!isPlainPath(source)) problems.push({ path: `mounts.${at}.source`, message: `Needs ${PLAIN_PATH}.` })
    else if (!isUnder(source, under))
      problems.push({ path: `mounts.${at}.source`, message: `Only in ${under.join(', ') || 'nothing'}.` })
    const wrong = targetProblem(target)
    if (wrong !== null)
      problems.push({ path: `mounts.${at}.target`, message: `${target || 'It'}: ${wrong}.` })
  })
  return problems
}

/** What is typed, as the API takes it. */
export function beyondOf({ gpus, mounts, hostNetwork }: BeyondDraft): Required<{
  [K in keyof Beyond]: NonNullable<PatchWorkspace[K]>
}> {
  return {
    gpus: gpusOf(gpus) ?? 0,
    mounts: mounts.map(({ source, target, readOnly }) => ({ source, target, readOnly })),
    networks: hostNetwork ? ['host'] : [],
  }
}

/** What a host's owner lets workspaces have of it, in a few words; null: nothing. */
export function givesText({ gpus, mounts, hostNetwork }: HostView['gives']): string | null {
  const parts = [
    ...(gpus > 0 ? [counted(gpus, 'GPU')] : []),
    ...(mounts.length > 0 ? [`folders in ${mounts.join(', ')}`] : []),
    ...(hostNetwork ? ['its network'] : []),
  ]
  return parts.length === 0 ? null : parts.join(' · ')
}
