/** What gateways ask of control for visitors without an account, and for the passwords before ports. */
import type { Deployment } from '../deployment.ts'
import type { Passwords } from '../credentials/passwords.ts'
import type { EdgeControl } from '../wire/index.ts'
import { guestUsed, joinGuest } from './guests.ts'
import { linkDoor } from './links.ts'
import { passDoor } from './workspace-passwords.ts'

type GuestCalls = Pick<EdgeControl, 'redeemLink' | 'joinGuest' | 'guestUsed' | 'givePassword'>

/** Links, guests and passwords. */
export function guestControl(deployment: Deployment, passwords: Passwords): GuestCalls {
  const { feed, now } = deployment
  return {
    redeemLink: linkDoor(deployment),
    joinGuest: (given, origin) => feed.write((w) => joinGuest(w, given, origin, now())),
    guestUsed: (sessionHash) => guestUsed(deployment, sessionHash),
    givePassword: passDoor(deployment, passwords),
  }
}
