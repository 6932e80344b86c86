/** User names go in, device cookies come out: who brings one back is known to have signed in with that browser before. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Vault } from './secrets.ts'

export interface Devices {
  /** A new cookie for a browser that this user has just signed in with. */
  mint(username: string): string
  /** The id of a browser that this user has signed in with; null: another user's, or none of ours. */
  idOf(cookie: string | undefined, username: string): string | null
}

const COOKIE = /^([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/

/** Made with a key of the deployment, so that each of its servers knows them. They prove nothing but that. */
export function knownDevices(vault: Vault): Devices {
  const key = vault.derive('postern device cookies')
  const seal = (id: string, username: string): string =>
    createHmac('sha256', key).update(`${id}\n${username}`).digest('base64url')
  return {
    mint(username) {
      const id = randomBytes(16).toString('base64url')
      return `${id}.${seal(id, username)}`
    },
    idOf(cookie, username) {
      const [, id, given] = COOKIE.exec(cookie ?? '') ?? []
      if (id === undefined || given === undefined) return null
      return timingSafeEqual(Buffer.from(given), Buffer.from(seal(id, username))) ? id : null
    },
  }
}
