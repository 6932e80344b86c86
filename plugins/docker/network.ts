/** One bridge network a workspace, on a small subnet of the pool: ensured and removed by name and proof. */
import { readFile } from 'node:fs/promises'
import { RuntimeError } from '@postern/plugin'
import type { Call, WorkspaceId } from '@postern/plugin'
import type { NetworkInspectInfo } from 'dockerode'
import { ask, unless } from './engine.ts'
import type { Engine } from './engine.ts'
import { sentenceOf, statusOf } from './errors.ts'
import { digest, labelsOf, namesOf, proofOf } from './labels.ts'
import { freeBlock, overlaps, parseBlock, printBlock, routedBlocks } from './subnet.ts'
import type { Block } from './subnet.ts'

/** More tries than workspaces that may be made at once and prefer the same subnet. */
const TRIES = 32

/**
 * Ensures the network of a workspace. Making it is tried without asking first: names and subnets are the locks.
 * @throws RuntimeError ERR_CONFLICT when the name is somebody else's, ERR_NO_CAPACITY when the pool is full
 */
export async function ensureNetwork(
  engine: Engine,
  id: WorkspaceId,
  generation: number,
  call: Call,
): Promise<void> {
  const names = namesOf(engine.owner, id)
  const refused: Block[] = []
  for (let tried = 0; tried < TRIES; tried++) {
    const block = await chooseBlock(engine, names.bridge, refused, call)
    const problem = await create(engine, id, generation, block, call)
    if (problem === undefined) return
    if (problem === 'overlap') {
      refused.push(block)
      continue
    }
    if (await findNetwork(engine, id, call)) return
    // Refused for a name that nobody has: the other one is being made or removed at this moment.
  }
  throw new RuntimeError('ERR_CONFLICT', `Making the network ${names.network} was refused ${TRIES} times.`)
}

/** The network of a workspace. @throws RuntimeError ERR_CONFLICT when all that bears its name is somebody else's */
export async function findNetwork(
  engine: Engine,
  id: WorkspaceId,
  call: Call,
): Promise<NetworkInspectInfo | undefined> {
  const { network } = namesOf(engine.owner, id)
  const named = await ask(call.signal, `look for the network ${network}`, async () =>
    engine.docker.listNetworks({ filters: { name: [network] }, abortSignal: call.signal }),
  )
  const same = named.filter((one) => one.Name === network)
  const ours = same.find((one) => proofOf(engine.owner, 'network', one.Name, one.Labels) !== undefined)
  if (ours === undefined && same.length > 0)
    throw new RuntimeError('ERR_CONFLICT', `The network ${network} is there and is not ours.`, {
      fix: `See whose it is (docker network inspect ${network}), and remove or rename it.`,
    })
  return ours
}

/** Ensures that the network of a workspace is gone; one that isn't ours is left. */
export async function removeNetwork(engine: Engine, id: WorkspaceId, call: Call): Promise<void> {
  const found = await findNetwork(engine, id, call).catch((err: unknown) => {
    if (RuntimeError.is(err) && err.code === 'ERR_CONFLICT') return undefined
    throw err
  })
  if (found === undefined) return
  await ask(call.signal, `remove the network ${found.Name}`, (abortSignal) =>
    engine.docker.getNetwork(found.Id).remove({ abortSignal }).catch(unless(404)),
  )
}

async function create(
  engine: Engine,
  id: WorkspaceId,
  generation: number,
  block: Block,
  call: Call,
): Promise<'overlap' | 'exists' | undefined> {
  const { network, bridge } = namesOf(engine.owner, id)
  return ask(call.signal, `make the network ${network}`, (abortSignal) =>
    engine.docker
      .createNetwork({
        Name: network,
        CheckDuplicate: true,
        Driver: 'bridge',
        Labels: labelsOf(engine.owner, id, generation, 'network'),
        Options: {
          'com.docker.network.bridge.name': bridge,
          'com.docker.network.bridge.enable_icc': 'false',
        },
        IPAM: { Driver: 'default', Config: [{ Subnet: printBlock(block) }] },
        abortSignal,
      })
      .then(() => undefined, refusal),
  )
}

/** Source: seen on Docker Engine 20.10: 403 and 409 with these words. */
function refusal(err: unknown): 'overlap' | 'exists' {
  const status = statusOf(err)
  const said = sentenceOf(err)
  if (status !== undefined && /pool overlaps|overlapping IPv4/i.test(said)) return 'overlap'
  if (status !== undefined && /already exists|same bridge name/i.test(said)) return 'exists'
  throw err
}

/** The block that the workspace's own hash prefers, or the next that is free as far as is known. */
async function chooseBlock(
  engine: Engine,
  seed: string,
  refused: readonly Block[],
  call: Call,
): Promise<Block> {
  const { subnetPool, subnetPrefix } = engine.config
  const pool = parseBlock(subnetPool)
  if (pool === undefined) throw new RuntimeError('ERR_INTERNAL', `The pool ${subnetPool} is no IPv4 block.`)
  const routed = routedBlocks(await readFile('/proc/net/route', 'utf8').catch(() => ''), pool)
  const known = refused.length === 0 ? [] : await networkBlocks(engine, pool, call)
  const start = Number.parseInt(digest(seed).slice(0, 8), 16)
  const block = freeBlock(pool, subnetPrefix, start, [...routed, ...known, ...refused])
  if (block !== undefined) return block
  throw new RuntimeError('ERR_NO_CAPACITY', `No network of /${subnetPrefix} is free in ${subnetPool}.`, {
    fix: 'Give the Docker runtime a larger subnetPool, or remove workspaces.',
  })
}

async function networkBlocks(engine: Engine, pool: Block, call: Call): Promise<Block[]> {
  const all = await ask(call.signal, 'list the networks', (abortSignal) =>
    engine.docker.listNetworks({ abortSignal }),
  )
  return all
    .flatMap((network) => network.IPAM?.Config ?? [])
    .map(({ Subnet }) => parseBlock(Subnet ?? ''))
    .filter((block) => block !== undefined)
    .filter((block) => overlaps(block, pool))
}
