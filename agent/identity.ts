/** Who this agent is: a state directory in, a key pair and the ids that control gave out, the same after each restart. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { ownDirectory, readIfThere, writeDurably } from './durable-file.ts'

/** The two ids that go into every label. */
export interface HostIds {
  readonly deploymentId: string
  readonly hostId: string
}

export interface Identity {
  /** SPKI DER of the Ed25519 key, base64url. */
  readonly publicKey: string
  /** Null until control has answered for the first time. */
  ids(): HostIds | null
  keepIds(ids: HostIds): Promise<void>
  /** Signature over `postern-register\n<machineId>\n<publicKey>\n<issuedAtMs>`, base64url. */
  prove(machineId: string, issuedAtMs: number): string
}

const fileSchema = z.object({
  privateKey: z.string(),
  deploymentId: z.string().optional(),
  hostId: z.string().optional(),
})

/**
 * Opens the identity under `stateDirectory`, made on first use, 0700.
 * @throws Error naming the file when it is there and not readable as one
 */
export async function openIdentity(stateDirectory: string): Promise<Identity> {
  await ownDirectory(stateDirectory)
  const path = join(stateDirectory, 'agent.json')
  const text = await readIfThere(path)
  const kept = text === null ? null : parse(path, text)
  const key = kept?.key ?? generateKeyPairSync('ed25519').privateKey
  const save = (ids: HostIds | null): Promise<void> => {
    const privateKey = key.export({ type: 'pkcs8', format: 'pem' }).toString()
    return writeDurably(path, JSON.stringify({ privateKey, ...ids }, null, 2) + '\n')
  }
  let ids = kept?.ids ?? null
  if (kept === null) await save(null)
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64url')
  return {
    publicKey,
    ids: () => ids,
    async keepIds({ deploymentId, hostId }) {
      if (ids?.deploymentId === deploymentId && ids.hostId === hostId) return
      await save({ deploymentId, hostId })
      ids = { deploymentId, hostId }
    },
    prove(machineId, issuedAtMs) {
      const words = `postern-register\n${machineId}\n${publicKey}\n${issuedAtMs}`
      return sign(null, Buffer.from(words), key).toString('base64url')
    },
  }
}

function parse(path: string, text: string): { key: KeyObject; ids: HostIds | null } {
  try {
    const { privateKey, deploymentId, hostId } = fileSchema.parse(JSON.parse(text))
    const key = createPrivateKey(privateKey)
    const ids = deploymentId === undefined || hostId === undefined ? null : { deploymentId, hostId }
    return { key, ids }
  } catch (cause) {
    throw new Error(`${path} is not an agent's identity; move it away to join anew`, { cause })
  }
}
