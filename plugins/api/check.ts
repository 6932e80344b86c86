/** What a loader and a plugin can check about each other: a spec's bounds, a plugin's shape, declared against implemented. */
import { RuntimeError } from './errors.ts'
import { API_VERSION } from './runtime.ts'
import type { Capabilities, Runtime } from './runtime.ts'
import type { WorkspaceSpec } from './spec.ts'

const SPEC_LIMITS = { cpuMillis: 10, memoryBytes: 1, pids: 1, tmpBytes: 1, diskBytes: 1, gpus: 1 } as const

/**
 * Every way in which a spec breaks its own bounds, as sentences that name no value of its environment; empty: none.
 */
export function specProblems(spec: WorkspaceSpec): string[] {
  const problems: string[] = []
  if (!/^[a-z0-9]{8,40}$/.test(spec.id)) problems.push('id must match [a-z0-9]{8,40}')
  if (!Number.isSafeInteger(spec.generation) || spec.generation < 1)
    problems.push('generation must be a whole number of 1 or more')
  if (spec.command?.length === 0 || spec.command?.[0] === '') problems.push('command must name a program')
  if (spec.command?.some((word) => word.includes('\0')) === true)
    problems.push('command must not hold a zero byte')
  problems.push(...environmentProblems(spec))
  for (const { port } of spec.ports)
    if (!Number.isInteger(port) || port < 1 || port > 65535)
      problems.push(`port ${String(port)} is not in 1 to 65535`)
  for (const { path } of spec.files ?? []) if (!isInside(path)) problems.push(`file path ${path} leaves home`)
  problems.push(...limitProblems(spec), ...mountProblems(spec))
  return problems
}

function environmentProblems({ env }: WorkspaceSpec): string[] {
  const problems: string[] = []
  for (const { name, value } of env) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) problems.push('env names must match [A-Za-z_][A-Za-z0-9_]*')
    else if (value.includes('\0')) problems.push(`env ${name} must not hold a zero byte`)
  }
  return problems
}

function limitProblems(spec: WorkspaceSpec): string[] {
  const problems: string[] = []
  for (const [key, least] of Object.entries(SPEC_LIMITS)) {
    const value = spec[key as keyof typeof SPEC_LIMITS]
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= least))
      problems.push(`${key} must be a whole number of ${least} or more`)
  }
  return problems
}

/** Absolute, not the root, and written in the one plain way: what a path means must not depend on who reads it. */
function isPlain(path: string): boolean {
  return (
    /^(?:\/[^/\x00-\x1f\x7f]+)+$/.test(path) && path.split('/').every((part) => part !== '.' && part !== '..')
  )
}

/** Where a kernel's own file systems are in any workspace. */
const KERNELS = /^\/(?:proc|sys|dev)(?:\/|$)/

function mountProblems({ mounts = [] }: WorkspaceSpec): string[] {
  const problems: string[] = []
  mounts.forEach(({ source, target }, at) => {
    if (!isPlain(source)) problems.push('a mount’s source must be an absolute, plain path')
    if (!isPlain(target) || KERNELS.test(target))
      problems.push('a mount’s target must be an absolute, plain path outside of /proc, /sys and /dev')
    const isOver = (other: { readonly target: string }): boolean =>
      `${target}/`.startsWith(`${other.target}/`)
    if (mounts.some((other, i) => i !== at && isOver(other)))
      problems.push(`the mount at ${target} is at or in another one`)
  })
  return problems
}

function isInside(path: string): boolean {
  if (path === '' || path.startsWith('/') || path.includes('\0')) return false
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

/** Lets a usable spec pass. @throws RuntimeError ERR_INVALID_SPEC listing every problem. */
export function assertSpec(spec: WorkspaceSpec): void {
  const problems = specProblems(spec)
  if (problems.length > 0)
    throw new RuntimeError('ERR_INVALID_SPEC', `The spec is not usable: ${problems.join('; ')}.`)
}

/** Every way in which a package's default export is not a plugin of this contract's version; empty: it is one. */
export function pluginProblems(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return ['the default export is not an object']
  const plugin = value as Record<string, unknown>
  if (plugin['apiVersion'] !== API_VERSION)
    return [`apiVersion is ${show(plugin['apiVersion'])}, and this Postern speaks ${API_VERSION}`]
  const problems: string[] = []
  const name = plugin['name']
  if (typeof name !== 'string' || !/^[a-z][a-z0-9-]{0,31}$/.test(name))
    problems.push(`name is ${show(name)}, and must match [a-z][a-z0-9-]{0,31}`)
  if (typeof plugin['capabilities'] !== 'object' || plugin['capabilities'] === null)
    problems.push('capabilities is not an object')
  const config = plugin['config'] as { parse?: unknown } | null | undefined
  if (typeof config?.parse !== 'function') problems.push('config.parse is not a function')
  if (typeof plugin['open'] !== 'function') problems.push('open is not a function')
  return problems
}

function show(value: unknown): string {
  return value === undefined ? 'absent' : JSON.stringify(value)
}

/** Abilities that a runtime may turn out to lack once it is open. */
const ABILITIES = [
  'images',
  'volumes',
  'isolation',
  'workspaceUsers',
  'gpus',
  'mounts',
  'hostNetwork',
  'growsDisk',
] as const

const VERBS = ['health', 'list', 'start', 'stop', 'remove', 'close'] as const
const OPTIONAL = ['watch', 'logs', 'connect'] as const

/** Every verb that is declared and missing, or there and not declared; empty: declared is what is implemented. */
export function runtimeProblems(capabilities: Capabilities, runtime: object): string[] {
  const methods = runtime as Record<string, unknown>
  const problems: string[] = []
  for (const verb of VERBS)
    if (typeof methods[verb] !== 'function') problems.push(`the runtime has no method ${verb}`)
  for (const verb of OPTIONAL) {
    const isThere = typeof methods[verb] === 'function'
    if (capabilities[verb] === true && !isThere)
      problems.push(`${verb} is declared, but the runtime has no such method`)
    if (capabilities[verb] !== true && isThere)
      problems.push(`the runtime has a method ${verb} that is not declared`)
  }
  const { capabilities: opened, gpus } = runtime as Partial<Runtime>
  for (const ability of ABILITIES)
    if (opened?.[ability] === true && capabilities[ability] !== true)
      problems.push(`the opened runtime says that it can ${ability}, which is not declared`)
  if (gpus !== undefined && gpus > 0 && capabilities.gpus !== true)
    problems.push('the runtime has GPUs, which are not declared')
  return problems
}
