/** What the engine, or the way to it, said went wrong comes in; an error of the contract leaves. */
import { RuntimeError } from '@postern/plugin'
import type { RuntimeCode } from '@postern/plugin'

/** Words of the engine that say more than its status code. Seen on Docker Engine 20.10; later ones where they differ. */
const byWords: readonly (readonly [RegExp, RuntimeCode])[] = [
  [/no space left on device|disk quota exceeded/i, 'ERR_NO_CAPACITY'],
  [/cannot allocate memory|resource temporarily unavailable|too many open files/i, 'ERR_NO_CAPACITY'],
  [/non-overlapping IPv4 address pool|fully subnetted|no available (IPv4 )?addresses/i, 'ERR_NO_CAPACITY'],
  [/no such image|manifest unknown|pull access denied/i, 'ERR_IMAGE_UNAVAILABLE'],
  // NVIDIA's toolkit is not installed beside the engine.
  [/could not select device driver/i, 'ERR_UNSUPPORTED'],
  [/no quota support/i, 'ERR_UNSUPPORTED'],
  [/transport is closing|daemon is shutting down|containerd\.sock/i, 'ERR_UNAVAILABLE'],
]

const byStatus: Readonly<Record<number, RuntimeCode>> = {
  400: 'ERR_INVALID_SPEC',
  403: 'ERR_CONFLICT',
  404: 'ERR_NOT_FOUND',
  409: 'ERR_CONFLICT',
  503: 'ERR_UNAVAILABLE',
}

const byErrno: Readonly<Record<string, RuntimeCode>> = {
  EACCES: 'ERR_PERMISSION',
  EPERM: 'ERR_PERMISSION',
  ECONNREFUSED: 'ERR_UNAVAILABLE',
  ECONNRESET: 'ERR_UNAVAILABLE',
  ENOENT: 'ERR_UNAVAILABLE',
  ENOTSOCK: 'ERR_UNAVAILABLE',
  EPIPE: 'ERR_UNAVAILABLE',
  ETIMEDOUT: 'ERR_UNAVAILABLE',
}

const fixes: Partial<Record<RuntimeCode, string>> = {
  ERR_PERMISSION:
    'Add the user that runs Postern to the group docker (sudo usermod -aG docker <user>) and sign in anew, or run Postern as root.',
  ERR_UNAVAILABLE: 'See that the Docker Engine runs (systemctl status docker) and where its socket is.',
}

/** The HTTP status that the engine answered with, or undefined when it didn't answer. */
export function statusOf(err: unknown): number | undefined {
  const status = (err as { statusCode?: unknown } | null)?.statusCode
  return typeof status === 'number' ? status : undefined
}

/** The engine's own sentence. */
export function sentenceOf(err: unknown): string {
  const { json, message } = err as { json?: { message?: unknown }; message?: unknown }
  if (typeof json?.message === 'string') return json.message.trim()
  return String(message ?? err).trim()
}

/** An error of the contract; one that already is passes untouched. `doing` is what we were about, in a few words. */
export function engineError(err: unknown, doing: string): RuntimeError {
  if (RuntimeError.is(err)) return err
  const said = sentenceOf(err)
  const code = codeOf(err, said)
  const fix = fixes[code]
  return new RuntimeError(code, `${doing}: ${said}`, { cause: err, ...(fix === undefined ? {} : { fix }) })
}

function codeOf(err: unknown, said: string): RuntimeCode {
  const words = byWords.find(([pattern]) => pattern.test(said))
  if (words !== undefined) return words[1]
  const status = statusOf(err)
  if (status !== undefined) return byStatus[status] ?? 'ERR_INTERNAL'
  const errno = (err as { code?: unknown } | null)?.code
  if (typeof errno === 'string' && Object.hasOwn(byErrno, errno)) return byErrno[errno] ?? 'ERR_INTERNAL'
  return /socket hang up/i.test(said) ? 'ERR_UNAVAILABLE' : 'ERR_INTERNAL'
}
