/** The GPUs of this machine come in; those that a start gets, each for itself alone, go out. Truth is in the containers' labels. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { RuntimeError } from '@postern/plugin'
import type { Call, WorkspaceSpec } from '@postern/plugin'
import type { ContainerInfo } from 'dockerode'
import { ask } from './engine.ts'
import type { Engine } from './engine.ts'
import { GPUS, WORKSPACE } from './labels.ts'

const run = promisify(execFile)

/** The ids of the NVIDIA cards that the driver knows; none where there is no driver. Source: nvidia-smi(1). */
export async function findGpus(signal: AbortSignal): Promise<readonly string[]> {
  const args = ['--query-gpu=uuid', '--format=csv,noheader']
  const said = await run('nvidia-smi', args, { signal }).catch(() => null)
  return said === null ? [] : said.stdout.split('\n').flatMap((line) => line.trim() || [])
}

/** The first `count` that nobody has; undefined: there are not so many. Pure. */
export function chooseGpus(
  all: readonly string[],
  taken: ReadonlySet<string>,
  count: number,
): readonly string[] | undefined {
  const free = all.filter((id) => !taken.has(id))
  return free.length < count ? undefined : free.slice(0, count)
}

const isAlive = ({ State: state }: ContainerInfo): boolean => !['exited', 'dead', 'removing'].includes(state)

/** Containers of workspaces on this engine, of whatever deployment, that run or may at any moment; without that of `id`. */
export async function neighbours(
  engine: Engine,
  id: WorkspaceSpec['id'],
  call: Call,
): Promise<readonly ContainerInfo[]> {
  const all = await ask(call.signal, 'list the containers', (abortSignal) =>
    engine.docker.listContainers({ all: true, filters: { label: [WORKSPACE] }, abortSignal }),
  )
  return all.filter((row) => isAlive(row) && row.Labels[WORKSPACE] !== id)
}

/** GPUs for a start. @throws RuntimeError ERR_NO_CAPACITY when too few are free */
export function takeGpus(
  engine: Engine,
  spec: WorkspaceSpec,
  others: readonly ContainerInfo[],
): readonly string[] {
  const { gpus = 0 } = spec
  if (gpus === 0) return []
  const taken = new Set(others.flatMap((row) => gpusOf(row.Labels)))
  const chosen = chooseGpus(engine.gpus, taken, gpus)
  if (chosen !== undefined) return chosen
  const free = engine.gpus.filter((id) => !taken.has(id)).length
  throw new RuntimeError(
    'ERR_NO_CAPACITY',
    `It asks for ${gpus} GPUs, and ${free} of this host’s ${engine.gpus.length} are free.`,
    {
      fix: 'It starts by itself when others stop.',
    },
  )
}

/** The GPUs that a container has. */
export function gpusOf(labels: Readonly<Record<string, string>>): readonly string[] {
  return (labels[GPUS] ?? '').split(',').filter((id) => id !== '')
}
