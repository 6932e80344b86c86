/** Values of secret environment entries go in, sealed text comes out, and back. The key is a file, never in the database. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { link, open, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../start-error.ts'
import { replaceFact, settleFact } from '../store/facts.ts'
import type { Db } from '../store/open.ts'
import { hasHooks } from '../store/hooks.ts'
import { hasSecrets } from '../store/workspaces.ts'
import { ApiError } from '../wire/index.ts'

/** Seals for one place (`workspace id`, `name`): what is sealed for another does not open. */
export interface Vault {
  seal(place: SecretPlace, value: string): string
  /** @throws Error when it was sealed for another place or by another key. */
  open(place: SecretPlace, sealed: string): string
  /** A key of 256 bits for another purpose, the same in the whole deployment. Source: RFC 5869. */
  derive(purpose: string): Buffer
}

export interface SecretPlace {
  readonly workspaceId: string
  readonly name: string
}

const bound = ({ workspaceId, name }: SecretPlace): Buffer => Buffer.from(`${workspaceId}\n${name}`)

/** AES-256-GCM with a fresh 96-bit nonce for each value. Source: NIST SP 800-38D. */
export function vaultOf(key: Buffer): Vault {
  return {
    seal(place, value) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      cipher.setAAD(bound(place))
      const body = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()])
      return `v1.${Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')}`
    },
    open(place, sealed) {
      const bytes = Buffer.from(sealed.replace(/^v1\./, ''), 'base64url')
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
      decipher.setAAD(bound(place))
      decipher.setAuthTag(bytes.subarray(12, 28))
      return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
    },
    derive: (purpose) => Buffer.from(hkdfSync('sha256', key, '', purpose, 32)),
  }
}

/** Writes the file whole or not at all, also when two processes start at once: the first one's key counts. */
async function createKey(file: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(`${randomBytes(32).toString('base64')}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  try {
    await link(draft, file)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw err
  } finally {
    await unlink(draft)
  }
}

async function readKey(file: string): Promise<Buffer | null> {
  const text = await readFile(file, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return null
    throw new StartError('key_invalid', `${file} cannot be read`, { cause: err })
  })
  if (text === null) return null
  const key = Buffer.from(text.trim(), 'base64')
  if (key.length !== 32) throw new StartError('key_invalid', `${file} does not hold a key`)
  return key
}

const checkPlace: SecretPlace = { workspaceId: '', name: 'key_check' }

function fits(vault: Vault, check: string): boolean {
  try {
    return vault.open(checkPlace, check) === 'postern'
  } catch {
    // Sealed by another key.
    return false
  }
}

/** Seals nothing: what it sealed, the other servers of the deployment could not open. */
const foreign = (vault: Vault): Vault => ({
  open: (place, sealed) => vault.open(place, sealed),
  derive: (purpose) => vault.derive(purpose),
  seal() {
    throw new ApiError(
      'unavailable',
      'This server has another secrets.key than the deployment; copy it here.',
    )
  },
})

/**
 * The key of this state directory, made at the first start, held against the database.
 * @throws StartError key_missing, key_invalid
 */
export async function loadVault(db: Db, stateDirectory: string, isShared: boolean): Promise<Vault> {
  const file = join(stateDirectory, 'secrets.key')
  const needed = (await hasSecrets(db)) || (await hasHooks(db))
  let key = await readKey(file)
  if (key === null) {
    if (needed)
      throw new StartError('key_missing', `${file} is missing, and the database holds secrets sealed by it`)
    await createKey(file)
    key = await readKey(file)
  }
  if (key === null) throw new StartError('key_invalid', `${file} was taken away`)
  const vault = vaultOf(key)
  const check = await settleFact(db, 'key_check', vault.seal(checkPlace, 'postern'))
  if (fits(vault, check)) return vault
  if (needed)
    throw new StartError('key_invalid', `${file} is not the key that sealed the secrets in the database`)
  if (isShared) return foreign(vault)
  await replaceFact(db, 'key_check', vault.seal(checkPlace, 'postern'))
  return vault
}
