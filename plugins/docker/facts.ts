/** The engine's two ways to speak of a container, inspect and list, come in; the same Facts leave. Pure. */
import type { ContainerInfo, ContainerInspectInfo } from 'dockerode'
import type { Facts } from './convert.ts'
import { HOST_PORTS } from './labels.ts'

/** Facts of ContainerInspect. */
export function inspectedFacts(info: ContainerInspectInfo, network: string): Facts {
  const { State: state } = info
  const end = {
    code: state.ExitCode,
    oomKilled: state.OOMKilled,
    finishedAt: state.FinishedAt,
  }
  return {
    id: info.Id,
    status: state.Status,
    startedAt: state.StartedAt,
    // Whole seconds, as the list has them: one container has one such time.
    createdAtMs: Math.floor(Date.parse(info.Created) / 1000) * 1000,
    address: info.NetworkSettings.Networks[network]?.IPAddress ?? '',
    published: publishedOf(info.NetworkSettings.Ports),
    hostPorts: hostPortsOf(info.Config.Labels),
    end,
  }
}

/** Facts of one row of ContainerList; `startedAt`, which the list leaves out, is given. Only for what runs. */
export function listedFacts(info: ContainerInfo, network: string, startedAt: string): Facts {
  const published: Record<string, number> = {}
  // The engine leaves PublicPort out for a port that is only exposed, whatever the type says.
  for (const { PrivatePort, PublicPort, Type } of info.Ports as readonly Partial<
    ContainerInfo['Ports'][number]
  >[])
    if (Type === 'tcp' && PublicPort !== undefined) published[String(PrivatePort)] = PublicPort
  return {
    id: info.Id,
    status: info.State,
    startedAt,
    createdAtMs: info.Created * 1000,
    address: info.NetworkSettings.Networks[network]?.IPAddress ?? '',
    published,
    hostPorts: hostPortsOf(info.Labels),
  }
}

/**
 * A key that changes each time that the engine starts the container, from its row in ContainerList: the endpoint on
 * its network is made anew at every start. '' where that can't be told.
 */
export function runKey(info: ContainerInfo, network: string): string {
  const endpoint = info.State === 'running' ? (info.NetworkSettings.Networks[network]?.EndpointID ?? '') : ''
  return endpoint === '' ? '' : `${info.Id}/${endpoint}`
}

function hostPortsOf(labels: Readonly<Record<string, string>>): readonly number[] | undefined {
  const told = labels[HOST_PORTS]
  return told?.split(',').flatMap((port) => (port === '' ? [] : [Number(port)]))
}

type Ports = ContainerInspectInfo['NetworkSettings']['Ports']

function publishedOf(ports: Ports | null): Record<string, number> {
  const published: Record<string, number> = {}
  for (const [port, bindings] of Object.entries(ports ?? {})) {
    const host = Number((bindings as { HostPort?: string }[] | null)?.[0]?.HostPort)
    if (port.endsWith('/tcp') && host > 0) published[port.slice(0, -4)] = host
  }
  return published
}
