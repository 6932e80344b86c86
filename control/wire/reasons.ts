/** Why a workspace is as it is: reason code → a sentence and the next step. Agents and control use the same table. */

export const reasonCodes = {
  waiting_for_host: { text: 'No host can take it yet.', hint: 'It starts by itself when a host connects.' },
  host_away: {
    text: 'Its host does not report.',
    hint: 'The workspace may still run; check the agent on the host.',
  },
  cap_reached: {
    text: 'As many workspaces run as are allowed.',
    hint: 'Stop one; this one starts by itself.',
  },
  placed: { text: 'A host has been chosen.', hint: '' },
  pulling: { text: 'The image is being fetched.', hint: '' },
  building: { text: 'The image is being built.', hint: '' },
  starting: { text: 'It is being started.', hint: '' },
  running: { text: 'It runs.', hint: '' },
  requested: { text: 'Because you asked for it.', hint: '' },
  spec_changed: { text: 'Its spec changed.', hint: '' },
  exited: { text: 'Its program ended.', hint: 'It is started again by itself; look at its log.' },
  oom: { text: 'It ran out of memory.', hint: 'Raise the memory limit.' },
  vanished: { text: 'It was removed from outside Postern.', hint: 'It is made again by itself.' },
  image_unavailable: {
    text: 'Its image is not here and could not be had.',
    hint: 'Run `npm run images`, or choose an image that the host can pull.',
  },
  program_unavailable: {
    text: 'Its program is not on the host, or its user may not run it.',
    hint: 'Do on the host what the message names, or change the command.',
  },
  no_capacity: { text: 'The host has no room for it.', hint: 'Free disk, memory or addresses on the host.' },
  invalid_spec: { text: 'The host’s runtime refuses the spec.', hint: 'Change the spec.' },
  unsupported: {
    text: 'The host’s runtime lacks what it asks for.',
    hint: 'Change the spec, or use another host.',
  },
  not_granted: {
    text: 'Its owner has no grant for what it asks of the host.',
    hint: 'Ask an administrator for the grant, or take it out of the spec; then start it.',
  },
  conflict: {
    text: 'Something else stands in its place on the host.',
    hint: 'Remove what is named in the message.',
  },
  permission: {
    text: 'The agent may not use the runtime.',
    hint: 'Give the agent’s user access to the runtime.',
  },
  runtime_unavailable: {
    text: 'The runtime on the host does not answer.',
    hint: 'Look at the runtime’s own log on the host.',
  },
  timeout: { text: 'It took too long.', hint: 'It is tried again by itself.' },
  internal: {
    text: 'The host’s runtime failed unexpectedly.',
    hint: 'It is tried again by itself; the agent’s log has more.',
  },
  restarted: { text: 'It was restarted on request.', hint: '' },
  trashed: { text: 'It is in the trash.', hint: 'Restore it before its time is over.' },
  restored: { text: 'It was brought back from the trash.', hint: '' },
  created: { text: 'It was created.', hint: '' },
  transferred: { text: 'It has another owner.', hint: '' },
  glass_broken: {
    text: 'An administrator opened it, with a reason.',
    hint: 'The owner can end that at once under Sharing.',
  },
  purged: { text: 'It is being removed for ever.', hint: '' },
} as const satisfies Record<string, { text: string; hint: string }>

export type ReasonCode = keyof typeof reasonCodes
export const reasonCodeList = Object.keys(reasonCodes) as [ReasonCode, ...ReasonCode[]]
