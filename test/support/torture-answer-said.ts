// What cases of an app's answers are written with: a plain GET, what the app says to it, how it leaves then.
import type { Case, Told } from './torture-case.ts'
import type { Script } from './torture-upstream.ts'

export const HEAD = 'Host: {host}\r\n'
export const GET = `GET /a HTTP/1.1\r\n${HEAD}\r\n`

/** A GET and what the app says to it. */
export const told = (name: string, says: string, more: Partial<Told>): Case => ({
  name,
  send: GET,
  says,
  statuses: [200],
  lines: ['GET /a'],
  ...more,
})
/** What the visitor of a broken answer gets. */
export const BROKEN = { statuses: [502], body: /upstream_bad_answer/, kept: true } as const
/** Why the compatibility engine takes it. */
export const LENIENT = 'that engine is for apps like this'

/** What the app says, and how it leaves then. */
export const thenLeaves = (says: string, how: 'fin' | 'reset'): { app: Script } => ({
  app: {
    onWhole: ({ connection: { socket } }) => {
      socket.write(says, 'latin1', () => {
        if (how === 'fin') socket.end()
        else setImmediate(() => socket.resetAndDestroy())
      })
    },
  },
})
