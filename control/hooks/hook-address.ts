/**
 * Pure. An address that a name of a webhook led to goes in; whether anything may be sent there comes out. A hook's
 * URL is an administrator's word, but its name is somebody else's to change: so each connection asks, not each hook.
 */
import ipaddr from 'ipaddr.js'

/** `public`: only addresses that the whole net reaches; `any`: those of the operator's own networks, too. */
export type HookTargets = 'public' | 'any'

const own: ReadonlySet<string> = new Set(['loopback', 'private', 'uniqueLocal', 'carrierGradeNat'])
/** Where clouds tell a machine its credentials, beside the link-local ones. */
const METADATA = ['fd00:ec2::254', '100.100.100.200', '192.0.0.192']

/**
 * Why nothing is sent to this address; null: it may be. Link-local ones (RFC 3927, RFC 4291 2.5.6), where metadata
 * services are, and networks of workspaces are refused whatever `targets` says; IPv4 in IPv6 is judged as IPv4.
 */
export function addressBarrier(
  address: string,
  targets: HookTargets,
  workspaceSubnets: readonly string[],
): string | null {
  if (!ipaddr.isValid(address)) return 'it is not an address'
  const ip = ipaddr.process(address)
  const range = ip.range()
  if (METADATA.includes(ip.toString())) return 'it is a metadata service'
  for (const subnet of workspaceSubnets) {
    if (!ipaddr.isValidCIDR(subnet)) return 'a network of workspaces is not known'
    const [network, bits] = ipaddr.parseCIDR(subnet)
    if (network.kind() === ip.kind() && ip.match(network, bits)) return 'workspaces are there'
  }
  if (range === 'unicast') return null
  if (own.has(range)) return targets === 'any' ? null : `it is ${range}: hook_targets allows only public ones`
  return `it is ${range}`
}
