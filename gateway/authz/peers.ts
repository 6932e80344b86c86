/** The address of the forward-auth listener comes in; who may ask there comes out. */
import type { IncomingMessage } from 'node:http'
import type { ListenAddress } from '../seams.ts'
import { blocksOf, type Peer } from '../listeners/trust.ts'

const isLoopback = blocksOf(['127.0.0.0/8', '::1'])

/**
 * On a unix socket and on the loopback, whoever reaches the listener; on any other address only this machine and the
 * trusted proxies: whoever may ask could try credentials, and learn addresses, past every log of the front.
 */
export function mayAskAt(
  address: ListenAddress,
  peerOf: (req: IncomingMessage) => Peer,
): (req: IncomingMessage) => boolean {
  const isOwn = 'path' in address || address.host === 'localhost' || isLoopback(address.host)
  if (isOwn) return () => true
  return (req) => {
    const peer = peerOf(req)
    return peer.trusted || isLoopback(peer.ip)
  }
}
