/** A user name and where a try to sign in as them comes from go in; by what that place is known comes out. */
import type { Devices } from '../credentials/devices.ts'
import type { Attempt, Familiar } from '../credentials/sign-in-limit.ts'
import type { Db } from '../store/open.ts'
import { listSessions } from '../store/sessions.ts'
import { networkOf } from '../wire/index.ts'
import type { Origin } from '../wire/index.ts'

async function familiarOf(
  db: Db,
  devices: Devices,
  who: { readonly id: string | null; readonly username: string },
  origin: Origin,
): Promise<Familiar> {
  const id = devices.idOf(origin.device, who.username)
  // Asked for nobody too: who has no account must not be told by the time that it takes.
  const sessions = await listSessions(db, { userId: who.id ?? '' })
  if (id !== null) return { by: 'device', id }
  const here = networkOf(origin.ip)
  return sessions.some(({ ip }) => networkOf(ip) === here) ? { by: 'address' } : { by: 'nothing' }
}

/** The try as it is counted. */
export async function attemptOf(
  db: Db,
  devices: Devices,
  who: { readonly id: string | null; readonly username: string },
  origin: Origin,
): Promise<Attempt> {
  return { username: who.username, ip: origin.ip, familiar: await familiarOf(db, devices, who, origin) }
}

/** A try by a link that proves itself: no user is guessed, so its address alone is charged. */
export const linkAttempt = (origin: Origin): Attempt => ({
  username: null,
  ip: origin.ip,
  familiar: { by: 'nothing' },
})
