/** What a person sent comes in; the spec that is stored of it comes out, its secrets sealed. */
import type { Vault } from '../credentials/secrets.ts'
import type { StoredSpec } from '../lifecycle/spec.ts'
import type { Workspace } from '../store/workspaces.ts'
import { filledPort } from '../wire/index.ts'
import type { CreateWorkspace, PatchWorkspace } from '../wire/index.ts'
import { sealEnv } from './environment.ts'

/** The spec of a new workspace; what wasn't said is null. */
export function specOfCreate(vault: Vault, workspaceId: string, body: CreateWorkspace): StoredSpec {
  return {
    template: body.template ?? null,
    image: body.image ?? null,
    cpu: body.cpu ?? null,
    memoryBytes: body.memoryBytes ?? null,
    pids: body.pids ?? null,
    diskBytes: body.diskBytes ?? null,
    env: sealEnv(vault, workspaceId, body.env ?? [], []),
    command: body.command ?? null,
    ports: body.ports?.map(filledPort) ?? null,
    paths: body.paths ?? null,
    gpus: body.gpus ?? null,
    mounts: body.mounts ?? null,
    networks: body.networks ?? null,
  }
}

/** The spec with what was sent in the place of what was; null takes a field back. */
export function specOfPatch(vault: Vault, { id, spec }: Workspace, body: PatchWorkspace): StoredSpec {
  const or = <T>(given: T | null | undefined, kept: T | null): T | null =>
    given === undefined ? kept : given
  return {
    template: spec.template,
    image: or(body.image, spec.image),
    cpu: or(body.cpu, spec.cpu),
    memoryBytes: or(body.memoryBytes, spec.memoryBytes),
    pids: or(body.pids, spec.pids),
    diskBytes: body.diskBytes ?? spec.diskBytes,
    env: body.env === undefined ? spec.env : sealEnv(vault, id, body.env, spec.env),
    command: or(body.command, spec.command),
    ports: body.ports?.map(filledPort) ?? spec.ports,
    paths: body.paths ?? spec.paths,
    gpus: or(body.gpus, spec.gpus),
    mounts: or(body.mounts, spec.mounts),
    networks: or(body.networks, spec.networks),
  }
}
