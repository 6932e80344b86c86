/** Somebody who is an administrator no more comes in; all by which they could still act as one, or come back, ends. */
import type { Writer } from '../feed/feed.ts'
import { deleteAllResetLinks, deleteOpenInvitations } from '../store/account-links.ts'
import { deleteGatewayTokens } from '../store/gateways.ts'
import { deleteJoinTokens } from '../store/tokens.ts'
import { takeGlass } from './grants.ts'

/**
 * What they opened by office is shut, and their invitations are revoked. Reset links and join tokens end whoever made them:
 * that isn't kept, they live a day at most, and are soon made anew.
 */
export async function endOffice(w: Writer, userId: string): Promise<void> {
  await takeGlass(w, userId)
  await deleteOpenInvitations(w.db, userId)
  await deleteAllResetLinks(w.db)
  await deleteJoinTokens(w.db)
  await deleteGatewayTokens(w.db)
}
