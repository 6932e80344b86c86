/** The options of listeners come in; what the gateway listens on comes out, or every contradiction at once. */
import type { GatewayOptions, ListenAddress, PublicListener } from '../../gateway/seams.ts'
import { defaultPublicUrl, showAddress, usableAddresses } from './listen-addresses.ts'
import type { ServerConfig } from './options.ts'
import { StartupError } from './startup-error.ts'

type ListenerConfig = Pick<
  ServerConfig,
  | 'listen'
  | 'publicUrl'
  | 'tlsListen'
  | 'tlsCert'
  | 'tlsKey'
  | 'http2'
  | 'hsts'
  | 'redirectListen'
  | 'proxyProtocol'
  | 'proxyProtocolFrom'
>

/** The gateway's part of the configuration that says where and how it listens. */
export type Listening = Pick<GatewayOptions, 'publicUrl'> &
  Required<Pick<GatewayOptions, 'listen' | 'certificates' | 'http2' | 'proxyProtocolFrom'>> &
  Pick<GatewayOptions, 'hstsMs'>

/** Puts the options together. @throws StartupError config_invalid */
export async function listeningOf(config: ListenerConfig): Promise<Listening> {
  const problems = contradictions(config)
  if (problems.length > 0)
    throw new StartupError('config_invalid', {
      problems,
      next: 'Mend what is listed; the README’s part on TLS has an example.',
    })
  const plain = await usableAddresses(config.listen)
  const tls = config.tlsListen ?? []
  const balanced = new Set((config.proxyProtocol ?? []).map(showAddress))
  const marked = (addresses: readonly ListenAddress[], speaks: PublicListener['speaks']): PublicListener[] =>
    addresses.map((address) => ({
      ...address,
      ...(speaks === undefined ? {} : { speaks }),
      ...(balanced.has(showAddress(address)) ? { proxyProtocol: true } : {}),
    }))
  const redirect = config.redirectListen === null ? [] : [config.redirectListen]
  const keys = config.tlsKey ?? config.tlsCert ?? []
  return {
    publicUrl:
      config.publicUrl ??
      (tls.length > 0 ? defaultPublicUrl(tls).replace('http:', 'https:') : defaultPublicUrl(plain)),
    listen: [...marked(plain, undefined), ...marked(tls, 'https'), ...marked(redirect, 'redirect')],
    certificates: (config.tlsCert ?? []).map((cert, index) => ({ cert, key: keys[index] as string })),
    http2: config.http2,
    ...(config.hsts === null ? {} : { hstsMs: config.hsts }),
    proxyProtocolFrom: config.proxyProtocolFrom ?? [],
  }
}

function contradictions(config: ListenerConfig): string[] {
  return [...ofTls(config), ...ofBalancers(config)]
}

function ofTls({ tlsListen, tlsCert, tlsKey, redirectListen, publicUrl, hsts }: ListenerConfig): string[] {
  const problems: string[] = []
  if (tlsListen !== null && tlsCert === null) problems.push('tls-listen: needs --tls-cert, and --tls-key')
  if (tlsCert !== null && tlsListen === null)
    problems.push('tls-cert: is of no use without --tls-listen, the address to serve https on')
  if (tlsKey !== null && tlsKey.length !== (tlsCert?.length ?? 0))
    problems.push(`tls-key: has ${tlsKey.length} files for ${tlsCert?.length ?? 0} of --tls-cert`)
  const isHttps = publicUrl === null ? tlsListen !== null : publicUrl.startsWith('https:')
  if (hsts !== null && (tlsListen === null || !isHttps))
    problems.push('hsts: needs --tls-listen and an https --public-url; a front says it itself')
  if (redirectListen !== null && !isHttps)
    problems.push('redirect-listen: leads to https, so that --public-url must be https')
  return problems
}

function ofBalancers(config: ListenerConfig): string[] {
  const { listen, tlsListen, redirectListen, proxyProtocol, proxyProtocolFrom } = config
  const problems: string[] = []
  const all = [...listen, ...(tlsListen ?? []), ...(redirectListen === null ? [] : [redirectListen])]
  const known = new Set(all.map(showAddress))
  for (const address of proxyProtocol ?? [])
    if (!known.has(showAddress(address)))
      problems.push(
        `proxy-protocol: ${showAddress(address)} is none of --listen, --tls-listen, --redirect-listen`,
      )
  if ((proxyProtocol ?? []).some((address) => 'port' in address) && proxyProtocolFrom === null)
    problems.push('proxy-protocol: needs --proxy-protocol-from, the addresses of the balancers')
  if (proxyProtocol === null && proxyProtocolFrom !== null)
    problems.push('proxy-protocol-from: is of no use without --proxy-protocol, the listeners that need it')
  return problems
}
