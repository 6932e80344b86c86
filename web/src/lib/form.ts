/** The form of a workspace: what is typed (draft), what is wrong with it (paths as the server's), and the bodies to send. */
import type { FieldProblem } from '../../../control/wire/api-error.ts'
import { nameProblem, nameProblemText } from '../../../control/wire/names.ts'
import type {
  CreateWorkspace,
  Limits,
  PatchWorkspace,
  SpecView,
  TemplateView,
  WorkspaceView,
} from '../../../control/wire/workspace.ts'
import { portDefaults, prefixProblem } from '../../../control/wire/port-rules.ts'
import type { EdgePath, EdgePort, PortView } from '../../../control/wire/ports.ts'
import { beyondDraft, beyondOf, beyondProblems, type BeyondDraft } from './beyond.ts'
import { bytesText, coresText, parseBytes, parseCores, parseCount } from './units.ts'
import { joinWords, splitWords } from './words.ts'

export interface EnvRow {
  /** Stable while the row is moved or edited. */
  readonly key: number
  name: string
  value: string
  secret: boolean
  /** A secret that the server holds and doesn't give back: kept unless a new value is typed. */
  kept: boolean
}
export interface PortRow extends Omit<EdgePort, 'port'> {
  readonly key: number
  port: string
  name: string
  visibility: EdgePort['visibility']
}
/** One line of the composition: paths of the default host that begin so go to that port. */
export interface PathRow {
  readonly key: number
  prefix: string
  port: string
}
/** All that is typed, as text; an empty amount means the template's or the server's default. */
export interface Draft {
  name: string
  template: string | null
  image: string
  cpu: string
  memory: string
  pids: string
  disk: string
  command: string
  env: EnvRow[]
  ports: PortRow[]
  paths: PathRow[]
  beyond: BeyondDraft
}

let lastKey = 0
/** A key for a new row, unique on this page. */
export function rowKey(): number {
  return ++lastKey
}

const text = (n: number | null | undefined, show: (n: number) => string): string =>
  n === null || n === undefined ? '' : show(n)

const portRow = ({ port, name, ...edge }: PortView): PortRow => ({
  key: rowKey(),
  port: String(port),
  name: name ?? '',
  ...edge,
})
const pathRow = ({ prefix, port }: EdgePath): PathRow => ({ key: rowKey(), prefix, port: String(port) })

/** A port that is added: empty, and its owner's alone. */
export const newPortRow = (): PortRow => ({ key: rowKey(), port: '', name: '', ...portDefaults })

/** An empty form with what the template and the limits say; a limit that isn't enforced here stays empty. */
export function draftOf(template: TemplateView | null, limits: Limits, name = ''): Draft {
  const ports = template?.ports ?? []
  return {
    name,
    template: template?.name ?? null,
    image: '',
    cpu: limits.cpu === undefined ? '' : coresText(template?.cpu ?? limits.cpu.default),
    memory:
      limits.memoryBytes === undefined ? '' : bytesText(template?.memoryBytes ?? limits.memoryBytes.default),
    pids: limits.pids === undefined ? '' : String(template?.pids ?? limits.pids.default),
    // Without one its data has no bound, or what the quota says.
    disk: limits.diskBytes === undefined ? '' : text(template?.diskBytes, bytesText),
    command: '',
    env: [],
    ports: ports.map(portRow),
    paths: (template?.paths ?? []).map(pathRow),
    beyond: beyondDraft(template, rowKey),
  }
}

/** The form of a spec that exists. */
export function draftOfSpec(name: string, spec: SpecView): Draft {
  return {
    name,
    template: spec.template,
    image: spec.image ?? '',
    cpu: text(spec.cpu, coresText),
    memory: text(spec.memoryBytes, bytesText),
    pids: text(spec.pids, String),
    disk: text(spec.diskBytes, bytesText),
    command: spec.command === null ? '' : joinWords(spec.command),
    env: spec.env.map((e) => ({
      key: rowKey(),
      name: e.name,
      value: e.value ?? '',
      secret: e.secret,
      kept: e.secret,
    })),
    ports: spec.ports.map(portRow),
    paths: spec.paths.map(pathRow),
    beyond: beyondDraft(spec, rowKey),
  }
}

interface Bounds {
  readonly min: number
  readonly max: number
}

function amountProblem(
  path: string,
  typed: string,
  parse: (text: string) => number | null,
  bounds: Bounds | undefined,
  show: (n: number) => string,
  example: string,
): FieldProblem[] {
  if (typed.trim() === '' || bounds === undefined) return []
  const n = parse(typed)
  if (n === null) return [{ path, message: `An amount such as ${example}.` }]
  if (n < bounds.min) return [{ path, message: `At least ${show(bounds.min)}.` }]
  if (n > bounds.max) return [{ path, message: `At most ${show(bounds.max)} here.` }]
  return []
}

function envProblems(rows: readonly EnvRow[]): FieldProblem[] {
  const seen = new Set<string>()
  return rows.flatMap((row, i): FieldProblem[] => {
    const path = `env.${i}.name`
    if (row.name === '') return [{ path, message: 'A name, such as NODE_ENV.' }]
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(row.name))
      return [{ path, message: 'Letters, digits and _, not beginning with a digit.' }]
    if (seen.has(row.name)) return [{ path, message: `${row.name} is set twice.` }]
    seen.add(row.name)
    return []
  })
}

function portProblems(rows: readonly PortRow[]): FieldProblem[] {
  const seen = new Set<number>()
  return rows.flatMap((row, i): FieldProblem[] => {
    const port = parseCount(row.port)
    const path = `ports.${i}.port`
    if (port === null || port > 65535) return [{ path, message: 'A port from 1 to 65535.' }]
    if (seen.has(port)) return [{ path, message: `Port ${port} is here twice.` }]
    seen.add(port)
    if (row.name.length > 40) return [{ path: `ports.${i}.name`, message: 'At most 40 characters.' }]
    return []
  })
}

function pathProblems(rows: readonly PathRow[]): FieldProblem[] {
  const seen = new Set<string>()
  return rows.flatMap((row, i): FieldProblem[] => {
    const problem = prefixProblem(row.prefix)
    const path = `paths.${i}.prefix`
    if (problem !== null) return [{ path, message: problem }]
    if (seen.has(row.prefix)) return [{ path, message: `${row.prefix} is here twice.` }]
    seen.add(row.prefix)
    const port = parseCount(row.port)
    if (port === null || port > 65535)
      return [{ path: `paths.${i}.port`, message: 'A port from 1 to 65535.' }]
    return []
  })
}

/** What is wrong with a proposed name, as a sentence; undefined when nothing is. */
export function nameError(name: string): string | undefined {
  const problem = nameProblem(name)
  return problem === null ? undefined : nameProblemText[problem]
}

/** Everything that the server would refuse in the spec, as far as it can be known here. The name is checked apart. */
export function specProblems(draft: Draft, limits: Limits): FieldProblem[] {
  return [
    ...amountProblem('cpu', draft.cpu, parseCores, limits.cpu, coresText, '2 or 0.5'),
    ...amountProblem(
      'memoryBytes',
      draft.memory,
      parseBytes,
      limits.memoryBytes,
      bytesText,
      '2 GiB or 512 MiB',
    ),
    ...amountProblem('pids', draft.pids, parseCount, limits.pids, String, '512'),
    ...amountProblem('diskBytes', draft.disk, parseBytes, limits.diskBytes, bytesText, '10 GiB'),
    ...(splitWords(draft.command) === null ? [{ path: 'command', message: 'A quote is not closed.' }] : []),
    ...envProblems(draft.env),
    ...portProblems(draft.ports),
    ...pathProblems(draft.paths),
    ...beyondProblems(draft.beyond, limits),
  ]
}

function portsOf(draft: Draft): NonNullable<CreateWorkspace['ports']> {
  return draft.ports.map(({ key: _key, port, name, ...edge }) => ({
    port: Number(port),
    ...edge,
    ...(name.trim() === '' ? {} : { name: name.trim() }),
  }))
}

const pathsOf = (draft: Draft): NonNullable<CreateWorkspace['paths']> =>
  draft.paths.map(({ prefix, port }) => ({ prefix, port: Number(port) }))

function amounts(draft: Draft, limits: Limits) {
  const words = splitWords(draft.command)
  return {
    image: draft.image.trim() === '' ? null : draft.image.trim(),
    cpu: limits.cpu === undefined ? null : parseCores(draft.cpu),
    memoryBytes: limits.memoryBytes === undefined ? null : parseBytes(draft.memory),
    pids: limits.pids === undefined ? null : parseCount(draft.pids),
    diskBytes: limits.diskBytes === undefined ? null : parseBytes(draft.disk),
    command: words === null || words.length === 0 ? null : words,
  }
}

/** The body of POST /api/v1/workspaces; what is empty is left out. */
export function createBody(draft: Draft, limits: Limits): CreateWorkspace {
  const body: CreateWorkspace = { name: draft.name, ports: portsOf(draft), paths: pathsOf(draft) }
  const { image, cpu, memoryBytes, pids, diskBytes, command } = amounts(draft, limits)
  if (draft.template !== null) body.template = draft.template
  if (image !== null) body.image = image
  if (cpu !== null) body.cpu = cpu
  if (memoryBytes !== null) body.memoryBytes = memoryBytes
  if (pids !== null) body.pids = pids
  if (diskBytes !== null) body.diskBytes = diskBytes
  if (command !== null) body.command = command
  const { gpus, mounts, networks } = beyondOf(draft.beyond)
  if (limits.gpus !== undefined) body.gpus = gpus
  if (limits.mounts !== undefined) body.mounts = mounts
  if (limits.hostNetwork) body.networks = networks
  if (draft.env.length > 0)
    body.env = draft.env.map((row) => ({ name: row.name, value: row.value, secret: row.secret }))
  return body
}

/**
 * The limits for changing what exists: data that has no size of its disk gets none, and one that there is only grows; of
 * what failed its host knows better.
 */
export function limitsOfExisting(limits: Limits, { phase, host, spec }: WorkspaceView): Limits {
  const { diskBytes, ...others } = limits
  if (diskBytes === undefined || host === null || phase === 'failed') return limits
  return spec.diskBytes === null ? others : { ...others, diskBytes: { ...diskBytes, min: spec.diskBytes } }
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** The body of PATCH: only the fields that changed; an emptied amount goes back to its default. */
export function patchBody(draft: Draft, spec: SpecView, limits: Limits): PatchWorkspace {
  const before = draftOfSpec(draft.name, spec)
  const was = amounts(before, limits)
  const now = amounts(draft, limits)
  const body: PatchWorkspace = {}
  if (!same(was.image, now.image)) body.image = now.image
  if (!same(was.cpu, now.cpu)) body.cpu = now.cpu
  if (!same(was.memoryBytes, now.memoryBytes)) body.memoryBytes = now.memoryBytes
  if (!same(was.pids, now.pids)) body.pids = now.pids
  // There is no way back to none.
  if (now.diskBytes !== null && now.diskBytes !== was.diskBytes) body.diskBytes = now.diskBytes
  if (!same(was.command, now.command)) body.command = now.command
  if (!same(portsOf(before), portsOf(draft))) body.ports = portsOf(draft)
  if (!same(pathsOf(before), pathsOf(draft))) body.paths = pathsOf(draft)
  const [had, has] = [beyondOf(before.beyond), beyondOf(draft.beyond)]
  if (had.gpus !== has.gpus) body.gpus = has.gpus
  if (!same(had.mounts, has.mounts)) body.mounts = has.mounts
  if (!same(had.networks, has.networks)) body.networks = has.networks
  const env = (d: Draft) =>
    d.env.map((row) => ({
      name: row.name,
      secret: row.secret,
      ...(row.kept && row.value === '' ? {} : { value: row.value }),
    }))
  if (!same(env(before), env(draft))) body.env = env(draft)
  return body
}
