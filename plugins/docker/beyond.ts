/** What of a spec lies beyond its own walls comes in; the parts of ContainerCreate for it leave. Pure. */
import { isDeepStrictEqual } from 'node:util'
import { RuntimeError } from '@postern/plugin'
import type { MountSpec, WorkspaceSpec } from '@postern/plugin'
import type { ContainerInspectInfo, DeviceMapping, DeviceRequest, MountSettings } from 'dockerode'

/** The home's own place, and `/tmp`, are the workspace's. @throws RuntimeError ERR_INVALID_SPEC */
export function checkTargets({ mounts = [], files = [] }: WorkspaceSpec, home: string): void {
  for (const { target } of mounts)
    if (target === '/tmp' || target === home || home.startsWith(`${target}/`))
      throw new RuntimeError('ERR_INVALID_SPEC', `${target} is a place of the workspace itself.`, {
        fix: 'Mount it at /data, or in a folder of the home.',
      })
  if (files.length > 0 && mounts.some(({ target }) => target.startsWith(`${home}/`)))
    throw new RuntimeError('ERR_INVALID_SPEC', 'Files of a template would be written to the host.', {
      fix: 'Mount outside of the home.',
    })
}

/**
 * Without what else is mounted below the source on the host, which the engine couldn't hold to `ReadOnly`; a source that
 * isn't there is refused, never made. Pure.
 */
export function bindMount({ source, target, readOnly = false }: MountSpec): MountSettings {
  return {
    Type: 'bind',
    Source: source,
    Target: target,
    ReadOnly: readOnly,
    // The SDK's types leave out NonRecursive (API 1.40).
    BindOptions: { Propagation: 'rprivate', NonRecursive: true } as { Propagation: 'rprivate' },
  }
}

/** True when a container that is there would mount just what the spec says. Pure. */
export function hasMounts(info: ContainerInspectInfo, { mounts = [] }: WorkspaceSpec): boolean {
  const there = (info.HostConfig.Mounts ?? [])
    .filter(({ Type }) => Type === 'bind')
    .map(({ Source, Target, ReadOnly = false }) => ({ Source, Target, ReadOnly }))
  const asked = mounts.map(({ source, target, readOnly = false }) => ({
    Source: source,
    Target: target,
    ReadOnly: readOnly,
  }))
  return isDeepStrictEqual(there, asked)
}

/** What a container is given of them: a card of NVIDIA by its id, any other as the device that its path names. Pure. */
export function gpuParts(ids: readonly string[]): {
  DeviceRequests?: DeviceRequest[]
  Devices?: DeviceMapping[]
} {
  const paths = ids.filter((id) => id.startsWith('/'))
  const cards = ids.filter((id) => !id.startsWith('/'))
  return {
    ...(cards.length === 0
      ? {}
      : { DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: cards, Capabilities: [['gpu']] }] }),
    ...(paths.length === 0
      ? {}
      : {
          Devices: paths.map((path) => ({
            PathOnHost: path,
            PathInContainer: path,
            CgroupPermissions: 'rw',
          })),
        }),
  }
}
