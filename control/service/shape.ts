/** What was asked of a workspace goes in; its spec with nothing left open comes out, or why no host here can take it. */
import { boundsProblems, defaultDisk, defaultsOf, lackingOn, shutProblem } from '../placement/limits.ts'
import type { ControlLimits } from '../seams.ts'
import { diskProblem } from '../lifecycle/disk.ts'
import { resolve } from '../lifecycle/spec.ts'
import type { Beyond, Resolved, StoredSpec, Template } from '../lifecycle/spec.ts'
import type { Host } from '../store/hosts.ts'
import type { Workspace } from '../store/workspaces.ts'
import type { Uses } from '../authorization/uses.ts'
import { mayUseHost, mayUseImage, mayUseTemplate, needsOf } from '../authorization/uses.ts'
import { ApiError } from '../wire/index.ts'
import type { Accessing, CreateWorkspace, Limits, PatchWorkspace, Quota } from '../wire/index.ts'
import { checkGranted } from './beyond.ts'

/** The template of those who name neither a template nor an image. */
const PLAIN_TEMPLATE = 'blank'

type Templates = ReadonlyMap<string, Template>

function templateOf(templates: Templates, spec: StoredSpec, before: Resolved | null): Template | null {
  if (spec.template === null) return spec.image === null ? (templates.get(PLAIN_TEMPLATE) ?? null) : null
  const template = templates.get(spec.template)
  if (template !== undefined) return template
  // A template that was taken away lives on in the workspaces made from it.
  if (before !== null) return { ...before, name: spec.template, title: spec.template, summary: '' }
  throw new ApiError('invalid_body', `There is no template ${spec.template}.`, {
    errors: [{ path: 'template', message: `one of: ${[...templates.keys()].join(', ')}` }],
  })
}

/** @throws ApiError limit_exceeded, unsupported */
export function checkBounds(asked: CreateWorkspace | PatchWorkspace, limits: Limits): void {
  const { beyond, unheld } = boundsProblems(asked, limits)
  if (beyond.length > 0) throw new ApiError('limit_exceeded', undefined, { errors: beyond })
  if (unheld.length > 0)
    throw new ApiError('unsupported', 'No host here can hold that limit.', { errors: unheld })
}

/** Fills in what is left open. @throws ApiError invalid_body */
export function shape(
  limits: ControlLimits,
  templates: Templates,
  spec: StoredSpec,
  before: Resolved | null = null,
): Resolved {
  const resolved = resolve(spec, templateOf(templates, spec, before), defaultsOf(limits))
  if (resolved.container === null && resolved.host === null)
    throw new ApiError('invalid_body', resolved.lacks ?? undefined, {
      errors: [{ path: 'template', message: 'name a template or an image' }],
    })
  // A template's own wish bends to the operator's bounds; a user's beyond them was refused.
  return {
    ...resolved,
    cpu: Math.min(resolved.cpu, limits.maxCpu),
    memoryBytes: Math.min(resolved.memoryBytes, limits.maxMemoryBytes),
    pids: Math.min(resolved.pids, limits.maxPids),
    diskBytes: resolved.diskBytes === null ? null : Math.min(resolved.diskBytes, limits.maxDiskBytes),
  }
}

/** With a size of its disk in any case where its account's quota counts disk: what has none can't be counted. */
export function withCountedDisk(
  resolved: Resolved,
  quota: Pick<Quota, 'diskBytes'>,
  limits: ControlLimits,
): Resolved {
  return quota.diskBytes === null || resolved.diskBytes !== null
    ? resolved
    : { ...resolved, diskBytes: defaultDisk(limits) }
}

/** @throws ApiError disk_fixed */
export function checkDisk(before: Workspace, { diskBytes }: Resolved, hosts: readonly Host[]): void {
  const grows = hosts.some(({ id, capabilities }) => id === before.hostId && capabilities.growsDisk === true)
  const problem = diskProblem(before, diskBytes, grows)
  if (problem !== null)
    throw new ApiError('disk_fixed', problem, { errors: [{ path: 'diskBytes', message: problem }] })
}

/** @throws ApiError unsupported where none of these hosts can take it */
export function checkTaken(resolved: Resolved, hosts: readonly Host[]): void {
  const lack = lackingOn(resolved, hosts)
  if (lack !== null) throw new ApiError('unsupported', lack.message, { errors: [lack] })
}

/** What this person may create from. Of a template that isn't for them they hear nothing. */
export function templatesFor(templates: Templates, uses: Uses, person: Accessing): Templates {
  return new Map([...templates].filter(([name]) => mayUseTemplate(uses, name, person)))
}

/** @throws ApiError forbidden for an image that only others may use */
export function checkImage(image: string | null | undefined, uses: Uses, person: Accessing): void {
  if (image === null || image === undefined || mayUseImage(uses, image, person)) return
  throw new ApiError('forbidden', 'This image is for the holders of a grant on it.')
}

/**
 * The hosts on which this person's workspaces may be placed; those that reach beyond themselves only where a grant carries
 * it. @throws ApiError forbidden when none of several is open, grant_missing
 */
export function hostsFor(
  hosts: readonly Host[],
  uses: Uses,
  person: Accessing,
  resolved: Beyond,
): readonly Host[] {
  const open = hosts.filter(({ id }) => mayUseHost(uses, id, person))
  const problem = shutProblem(hosts, open)
  if (problem !== null) throw new ApiError('forbidden', problem)
  checkGranted(hosts, uses, person, resolved, 'You have')
  return open.filter(({ id }) => mayUseHost(uses, id, person, needsOf(resolved)))
}

/** @throws ApiError invalid_body where a port is declared twice */
export function uniquePorts(ports: readonly { port: number }[] | undefined): void {
  const seen = new Set<number>()
  ports?.forEach(({ port }, index) => {
    if (seen.has(port))
      throw new ApiError('invalid_body', undefined, {
        errors: [{ path: `ports.${index}.port`, message: 'is declared twice' }],
      })
    seen.add(port)
  })
}
