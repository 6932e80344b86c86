/** The verbs of the fake: calls come in through the fault table, cells change. */
import { randomUUID } from 'node:crypto'
import { access } from 'node:fs/promises'
import { assertSpec } from '../check.ts'
import { RuntimeError } from '../errors.ts'
import type { Host, LogLine, LogQuery, Runtime } from '../runtime.ts'
import type { Instance, WorkspaceId, WorkspaceSpec } from '../spec.ts'
import { drop, ended, tell, toInstance } from './fake-cells.ts'
import type { Cell, Cells, Hint } from './fake-cells.ts'
import type { FaultTable, FaultVerb, Sleep } from './fake-faults.ts'
import { startFakeProgram } from './fake-program.ts'

/** What the runtimes of one fake share. */
export interface FakeSetting {
  readonly cells: Cells
  readonly calls: { verb: FaultVerb; id?: WorkspaceId }[]
  readonly faults: FaultTable
  readonly sleep: Sleep
  readonly listen: boolean
  readonly images: boolean
  readonly gpus: number
  readonly holdsDisks: boolean
  readonly growsDisk: boolean
}

/** Opens a runtime on the shared world that sees only what carries this host's ids. */
export function openFake(world: FakeSetting, host: Host): Runtime {
  const { cells, faults } = world
  const owner = `${host.deploymentId} ${host.hostId}`
  const closing = new AbortController()
  const serial = new Map<WorkspaceId, Promise<unknown>>()
  const cellAt = (id: WorkspaceId): Cell | undefined => cells.all.get(`${owner} ${id}`)

  function enter<T>(
    call: { readonly verb: FaultVerb; readonly id?: WorkspaceId; readonly signal: AbortSignal },
    work: () => Promise<T> | T,
  ): Promise<T> {
    if (closing.signal.aborted) return Promise.reject(closed())
    const { verb, id } = call
    world.calls.push(id === undefined ? { verb } : { verb, id })
    return faults.run(call, async () => work())
  }

  /** One change of a workspace after the other. */
  async function inTurn<T>(id: WorkspaceId, work: () => Promise<T>): Promise<T> {
    const before = serial.get(id) ?? Promise.resolve()
    const mine = before.then(work, work)
    serial.set(id, mine)
    try {
      return await mine
    } finally {
      if (serial.get(id) === mine) serial.delete(id)
    }
  }

  async function start(spec: WorkspaceSpec): Promise<Instance> {
    assertSpec(spec)
    if (world.images && (spec.image ?? '').includes('/not/'))
      throw new RuntimeError('ERR_IMAGE_UNAVAILABLE', 'The image is not here.')
    const old = cellAt(spec.id)
    if (old !== undefined && old.state !== 'retained' && old.generation !== spec.generation)
      throw new RuntimeError('ERR_CONFLICT', `Generation ${old.generation} is there, not ${spec.generation}.`)
    if (old?.program !== undefined) return toInstance(old)
    checkDisk(world, spec, old)
    await takeBeyond(world, owner, spec)
    const cell = freshCell(owner, spec, old, host.now())
    await runProgram(world, host, cell, spec)
    cells.all.set(`${owner} ${spec.id}`, cell)
    tell(cells, cell)
    return toInstance(cell)
  }

  async function stop(id: WorkspaceId, graceMs: number, signal: AbortSignal): Promise<void> {
    const program = cellAt(id)?.program
    if (program === undefined || program.terminate()) return
    await world.sleep(graceMs, { signal })
    const cell = cellAt(id)
    if (cell?.program === program) ended(cells, cell, 137, host.now(), true)
  }

  function remove(id: WorkspaceId, keepData: boolean): void {
    const cell = cellAt(id)
    if (cell === undefined) return
    drop(cells, cell)
    if (keepData) cells.all.set(`${owner} ${id}`, { ...cell, ...RETAINED })
    tell(cells, cell)
  }

  return {
    gpus: world.gpus,
    health: ({ signal }) =>
      enter({ verb: 'health', signal }, () => ({ status: 'healthy', message: 'It is in memory.' })),
    list: ({ signal }) =>
      enter({ verb: 'list', signal }, () =>
        [...cells.all.values()].filter((cell) => cell.owner === owner).map(toInstance),
      ),
    start: (spec, { signal }) =>
      enter({ verb: 'start', id: spec.id, signal }, () => inTurn(spec.id, () => start(spec))),
    stop: (id, { signal, graceMs }) => enter({ verb: 'stop', id, signal }, () => stop(id, graceMs, signal)),
    remove: (id, { signal, keepData }) => enter({ verb: 'remove', id, signal }, () => remove(id, keepData)),
    close: () => Promise.resolve(closing.abort(closed())),
    watch: ({ signal }) => hints(cells, owner, AbortSignal.any([signal, closing.signal])),
    logs: (id, query) => lines(() => cellAt(id), query, world.sleep),
    connect: (id, port, { signal }) =>
      enter({ verb: 'connect', id, signal }, () => {
        const cell = cellAt(id)
        if (cell?.program === undefined || !cell.ports.includes(port))
          throw new RuntimeError('ERR_NOT_FOUND', `Nothing of the workspace listens on port ${port}.`)
        return cell.program.dial()
      }),
  }
}

/** @throws RuntimeError ERR_UNSUPPORTED, ERR_INVALID_SPEC */
function checkDisk(world: FakeSetting, { diskBytes }: WorkspaceSpec, old: Cell | undefined): void {
  if (diskBytes === undefined) return
  if (!world.holdsDisks) throw new RuntimeError('ERR_UNSUPPORTED', 'This fake holds no size of a disk.')
  const had = old?.diskBytes
  const mayGrow = world.growsDisk && had !== undefined && diskBytes > had
  if (old !== undefined && diskBytes !== had && !mayGrow)
    throw new RuntimeError('ERR_INVALID_SPEC', `Its disk has ${had ?? 'no'} bytes, and keeps them.`)
}

/** Takes what a spec asks of the fake host. @throws RuntimeError ERR_NO_CAPACITY, ERR_INVALID_SPEC */
async function takeBeyond({ cells, gpus }: FakeSetting, owner: string, spec: WorkspaceSpec): Promise<void> {
  const taken = [...cells.gpus.values()].reduce((sum, count) => sum + count, 0)
  if (taken + (spec.gpus ?? 0) > gpus && spec.gpus !== undefined)
    throw new RuntimeError('ERR_NO_CAPACITY', `${gpus - taken} of ${gpus} fake GPUs are free.`)
  // Before anything is waited for: of two at once, one gets the last.
  if (spec.gpus !== undefined) cells.gpus.set(`${owner} ${spec.id}`, spec.gpus)
  for (const { source } of spec.mounts ?? [])
    await access(source).catch(() => {
      cells.gpus.delete(`${owner} ${spec.id}`)
      throw new RuntimeError('ERR_INVALID_SPEC', `There is no ${source} on this host.`)
    })
}

async function runProgram(world: FakeSetting, host: Host, cell: Cell, spec: WorkspaceSpec): Promise<void> {
  const { cells, listen } = world
  if (spec.command?.[0]?.startsWith('/not/') === true) return ended(cells, cell, 127, host.now())
  const onExit = (code: number): void => {
    if (cell.program !== undefined) ended(cells, cell, code, host.now())
  }
  const inside = {
    data: cell.data,
    diskBytes: cell.diskBytes,
    lines: cell.lines,
    now: () => host.now(),
    onExit,
  }
  cell.program = await startFakeProgram(spec, inside, listen)
}

const RETAINED = {
  state: 'retained',
  generation: 0,
  incarnation: '',
  program: undefined,
  exit: undefined,
} as const

function freshCell(owner: string, spec: WorkspaceSpec, old: Cell | undefined, atMs: number): Cell {
  return {
    owner,
    id: spec.id,
    data: old?.data ?? new Map<string, string>(),
    diskBytes: spec.diskBytes ?? old?.diskBytes,
    lines: old?.lines ?? [],
    generation: spec.generation,
    incarnation: randomUUID(),
    state: 'running',
    createdAtMs: atMs,
    ports: spec.ports.map(({ port }) => port),
    program: undefined,
    exit: undefined,
  }
}

async function* hints(cells: Cells, owner: string, signal: AbortSignal): AsyncGenerator<WorkspaceId | '*'> {
  const waiting: (WorkspaceId | '*')[] = []
  let wake = (): void => undefined
  const hear = (hint: Hint): void => {
    if (hint.owner === undefined || hint.owner === owner) waiting.push(hint.id)
    wake()
  }
  const stop = (): void => wake()
  cells.watchers.add(hear)
  signal.addEventListener('abort', stop, { once: true })
  try {
    while (!signal.aborted) {
      const next = waiting.shift()
      if (next !== undefined) yield next
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    cells.watchers.delete(hear)
    signal.removeEventListener('abort', stop)
  }
}

async function* lines(
  cellNow: () => Cell | undefined,
  query: LogQuery & { readonly signal: AbortSignal },
  sleep: Sleep,
): AsyncGenerator<LogLine> {
  const { signal, tail = 200, follow = false } = query
  signal.throwIfAborted()
  let at = Math.max((cellNow()?.lines.length ?? 0) - tail, 0)
  for (;;) {
    const cell = cellNow()
    if (cell === undefined) return
    for (const line of cell.lines.slice(at)) yield line
    at = cell.lines.length
    if (!follow) return
    await sleep(20, { signal })
  }
}

function closed(): RuntimeError {
  return new RuntimeError('ERR_CLOSED', 'The runtime has been closed.')
}
