/** The fake's world: a cell a workspace, and what changes one. */
import type { Exit, Instance, InstanceState, WorkspaceId } from '../spec.ts'
import type { LogLine } from '../runtime.ts'
import type { FakeProgram } from './fake-program.ts'

/** What there is of one workspace of one host. */
export interface Cell {
  readonly owner: string
  readonly id: WorkspaceId
  readonly data: Map<string, string>
  /** Bytes that all of it may have; undefined: no bound. */
  readonly diskBytes: number | undefined
  readonly lines: LogLine[]
  generation: number
  incarnation: string
  state: InstanceState
  createdAtMs: number
  ports: readonly number[]
  program: FakeProgram | undefined
  exit: Exit | undefined
}

/** All cells, and who wants to hear of changes. */
export interface Cells {
  readonly all: Map<string, Cell>
  readonly watchers: Set<(hint: Hint) => void>
  /** Fake GPUs in use, by cell. */
  readonly gpus: Map<string, number>
}

/** That something may have changed; without an owner it is for everybody. */
export interface Hint {
  readonly owner?: string
  readonly id: WorkspaceId | '*'
}

/** Hints at a change of a cell. */
export function tell(cells: Cells, { owner, id }: Cell): void {
  cells.watchers.forEach((wake) => wake({ owner, id }))
}

/** Takes a cell away with its program and data. */
export function drop(cells: Cells, cell: Cell): void {
  const { program } = cell
  cell.program = undefined
  program?.kill()
  cells.all.delete(`${cell.owner} ${cell.id}`)
  cells.gpus.delete(`${cell.owner} ${cell.id}`)
}

/** Ends a cell’s program; asked for or with code 0 it is stopped, else failed. */
export function ended(cells: Cells, cell: Cell, code: number, atMs: number, wasAsked = false): void {
  const { program } = cell
  cell.program = undefined
  cell.state = wasAsked || code === 0 ? 'stopped' : 'failed'
  cell.exit = { code, oom: false, atMs }
  program?.kill()
  cells.gpus.delete(`${cell.owner} ${cell.id}`)
  tell(cells, cell)
}

/** A cell as the contract shows it. */
export function toInstance(cell: Cell): Instance {
  const port = cell.program?.loopbackPort
  return {
    workspaceId: cell.id,
    generation: cell.generation,
    incarnation: cell.incarnation,
    state: cell.state,
    createdAtMs: cell.createdAtMs,
    ...(cell.diskBytes === undefined ? {} : { diskBytes: cell.diskBytes }),
    reach:
      port === undefined
        ? { kind: 'none' }
        : {
            kind: 'ports',
            host: '127.0.0.1',
            ports: Object.fromEntries(cell.ports.map((own) => [own, port])),
          },
    ...(cell.exit === undefined ? {} : { exit: cell.exit }),
  }
}
