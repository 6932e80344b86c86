/**
 * What an owner wants and a command go in; what they want next comes out, or a coded refusal. Pure.
 *
 *   running ⇄ stopped          start, stop, restart (a new generation), patch (a new generation)
 *   any → removed, keep        delete: the trash, for a time
 *   removed, keep → stopped    restore; start and restart: → running
 *   any → removed, delete      purge: there is no way back
 *
 * Every command is accepted in every phase, and repeating one changes nothing more; only what is being purged refuses.
 */
import type { Phase, ReasonCode } from '../wire/index.ts'

export type Command = 'start' | 'stop' | 'restart' | 'delete' | 'purge' | 'restore' | 'patch'

/** The owner's side of a workspace. */
export interface Wish {
  readonly want: 'running' | 'stopped' | 'removed'
  readonly data: 'keep' | 'delete'
  readonly generation: number
  readonly wantedAtMs: number
  /** When the trash is emptied of it. */
  readonly purgeAtMs: number | null
}

/** The line that a command adds to the timeline; `verb` follows the name of who gave it. */
export interface CommandEvent {
  readonly code: ReasonCode
  readonly verb: string
}

export type Outcome =
  | { readonly kind: 'next'; readonly wish: Wish; readonly event: CommandEvent | null }
  | { readonly kind: 'refused'; readonly code: 'not_trashed'; readonly detail: string }

const next = (wish: Wish, code: ReasonCode, verb: string): Outcome => ({
  kind: 'next',
  wish,
  event: { code, verb },
})
const same = (wish: Wish): Outcome => ({ kind: 'next', wish, event: null })

function start(wish: Wish, phase: Phase, now: number): Outcome {
  const wanted = { ...wish, want: 'running', purgeAtMs: null, wantedAtMs: now } as const
  if (wish.want === 'removed') return next(wanted, 'restored', 'brought it back and started it')
  if (wish.want === 'stopped') return next(wanted, 'requested', 'started it')
  // A new generation makes the host try at once what it would try again only later.
  if (phase === 'failed')
    return next({ ...wish, generation: wish.generation + 1 }, 'requested', 'started it again')
  return same(wish)
}

/** The next wish. `now` in ms, `trashMs` is how long the trash keeps. */
export function advance(
  wish: Wish,
  command: Command,
  given: { readonly phase: Phase; readonly now: number; readonly trashMs: number },
): Outcome {
  const purging = wish.want === 'removed' && wish.data === 'delete'
  if (purging && (command === 'purge' || command === 'delete' || command === 'stop')) return same(wish)
  if (purging) return { kind: 'refused', code: 'not_trashed', detail: 'It is being removed for ever.' }
  switch (command) {
    case 'start':
      return start(wish, given.phase, given.now)
    case 'stop':
      return wish.want === 'running'
        ? next({ ...wish, want: 'stopped' }, 'requested', 'stopped it')
        : same(wish)
    case 'restart':
      return next(
        {
          ...wish,
          want: 'running',
          generation: wish.generation + 1,
          purgeAtMs: null,
          wantedAtMs: wish.want === 'running' ? wish.wantedAtMs : given.now,
        },
        'restarted',
        'restarted it',
      )
    case 'patch':
      return next({ ...wish, generation: wish.generation + 1 }, 'spec_changed', 'changed its spec')
    case 'delete':
      if (wish.want === 'removed') return same(wish)
      return next(
        { ...wish, want: 'removed', purgeAtMs: given.now + given.trashMs },
        'trashed',
        'put it into the trash',
      )
    case 'purge':
      return next(
        { ...wish, want: 'removed', data: 'delete', purgeAtMs: null },
        'purged',
        'removed it for ever',
      )
    case 'restore':
      if (wish.want !== 'removed') return same(wish)
      return next({ ...wish, want: 'stopped', purgeAtMs: null }, 'restored', 'brought it back from the trash')
  }
}
