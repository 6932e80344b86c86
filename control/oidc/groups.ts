/** Names of groups that a provider says somebody is in come in; memberships of that provider change, and no others. */
import type { Writer } from '../feed/feed.ts'
import {
  deleteMembership,
  findGroup,
  insertGroup,
  insertMembership,
  listMemberships,
} from '../store/groups.ts'
import { newId } from '../credentials/tokens.ts'

async function groupOf(w: Writer, name: string, nowMs: number): Promise<string> {
  const known = await findGroup(w.db, { name })
  if (known !== null) return known.id
  const group = { id: newId(), name, createdAtMs: nowMs }
  await insertGroup(w.db, group)
  return group.id
}

/** Makes it so; groups that aren't there yet are made. True where something changed. */
export async function followGroups(
  w: Writer,
  who: { readonly userId: string; readonly source: string },
  names: readonly string[],
  nowMs: number,
): Promise<boolean> {
  const wanted = new Set<string>()
  for (const name of names) wanted.add(await groupOf(w, name, nowMs))
  let isChanged = false
  for (const one of await listMemberships(w.db, who))
    if (!wanted.has(one.groupId)) isChanged = (await deleteMembership(w.db, one)) || isChanged
  for (const groupId of wanted) isChanged = (await insertMembership(w.db, { ...who, groupId })) || isChanged
  return isChanged
}
