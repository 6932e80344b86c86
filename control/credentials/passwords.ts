/** Passwords go in, scrypt hashes come out, and a check of one against the other. At most two run at once. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { ApiError } from '../wire/index.ts'

/** What a hash costs: 128 · 2^n · r bytes, p times. */
export interface PasswordCost {
  /** log2 of N. */
  readonly n: number
  readonly r: number
  readonly p: number
}

/** 64 MiB for some 300 ms of one core. Source: RFC 7914, OWASP Password Storage Cheat Sheet. */
export const strongCost: PasswordCost = { n: 16, r: 8, p: 2 }
const PARALLEL = 2
const QUEUE_MAX = 64

let running = 0
const queue: (() => void)[] = []
/** Those who are known to have signed in before go first: a flood of strangers keeps nobody out. */
const first: (() => void)[] = []

async function slot(isKnown: boolean): Promise<void> {
  if (running < PARALLEL) {
    running++
    return
  }
  const line = isKnown ? first : queue
  if (line.length >= QUEUE_MAX) throw new ApiError('overloaded', undefined, { retryAfterSeconds: 5 })
  await new Promise<void>((ready) => line.push(ready))
}

function release(): void {
  const waiting = first.shift() ?? queue.shift()
  if (waiting === undefined) running--
  else waiting()
}

async function derive(
  password: string,
  salt: Buffer,
  { n, r, p }: PasswordCost,
  isKnown: boolean,
): Promise<Buffer> {
  await slot(isKnown)
  try {
    return await new Promise((resolve, reject) => {
      const options = { N: 2 ** n, r, p, maxmem: 256 * 2 ** n * r }
      scrypt(password.normalize('NFC'), salt, 32, options, (err, key) =>
        err === null ? resolve(key) : reject(err),
      )
    })
  } finally {
    release()
  }
}

/** Both reject with ApiError overloaded when too many wait. */
export interface Passwords {
  /** `scrypt$n$r$p$salt$hash`: the cost travels with the hash. */
  hash(password: string): Promise<string>
  /** Takes the same time whether or not there is a hash; `isKnown` goes before those who aren't. */
  verify(password: string, hash: string | null, isKnown?: boolean): Promise<boolean>
}

export function passwordsOf(cost: PasswordCost): Passwords {
  return {
    async hash(password) {
      const salt = randomBytes(16)
      const key = await derive(password, salt, cost, true)
      return ['scrypt', cost.n, cost.r, cost.p, salt.toString('base64url'), key.toString('base64url')].join(
        '$',
      )
    },
    async verify(password, hash, isKnown = false) {
      const [, n, r, p, salt, key] = hash?.split('$') ?? []
      if (n === undefined || r === undefined || p === undefined || salt === undefined || key === undefined) {
        await derive(password, randomBytes(16), cost, isKnown)
        return false
      }
      const wanted = Buffer.from(key, 'base64url')
      const at = { n: Number(n), r: Number(r), p: Number(p) }
      const found = await derive(password, Buffer.from(salt, 'base64url'), at, isKnown)
      return timingSafeEqual(found, wanted)
    },
  }
}
