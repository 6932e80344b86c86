// A signed-out person whom a front's forward auth refused, or whom a chain brings, comes in; the hand-off begins on this very host.
import { paths } from '../../control/wire/index.ts'
import type { Visit } from '../edge.ts'
import type { WorkspacePlace } from '../host/host.ts'
import { type Site, workspaceOrigin } from '../host/site.ts'
import { queryOf } from './form.ts'
import { beginHandOff } from './hand-off.ts'
import { chainAt, joinChain } from './join.ts'

/** Where forward auth sends such a person: a front can't set the flow's cookie for us, this page does. */
export function entryLocation(site: Site, place: WorkspacePlace, target: string): string {
  return `${workspaceOrigin(site, place.label)}${paths.enter}?to=${encodeURIComponent(target)}`
}

/** Begins the hand-off, also for whoever is signed in already: a front that loses our cookie then ends at its count. */
export function enter(visit: Visit, place: WorkspacePlace): Promise<void> {
  const chain = chainAt(visit, place)
  if (chain !== null) joinChain(visit, place, chain)
  else beginHandOff(visit, place, queryOf(visit.target).get('to') ?? '/')
  return Promise.resolve()
}
