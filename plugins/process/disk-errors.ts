/** What can go wrong with a workspace's own disk, each as a coded error with the way out. */
import { RuntimeError } from '@postern/plugin'

/** Asked for where it can't be had. */
export function unheld(): RuntimeError {
  return new RuntimeError('ERR_UNSUPPORTED', 'This host can’t hold the size of a disk.', {
    fix: 'It takes root, loop devices, util-linux and e2fsprogs; the agent’s log says what is missing.',
  })
}

/** There is data already, beside which no bound can be put. */
export function unsized(): RuntimeError {
  return new RuntimeError('ERR_INVALID_SPEC', 'Its data was made without a size, and can’t be given one.', {
    fix: 'Make a new workspace of that size, and copy the data over.',
  })
}

/** Less than it has, in bytes. */
export function tooSmall(bytes: number): RuntimeError {
  return new RuntimeError('ERR_INVALID_SPEC', `Its disk has ${bytes} bytes, and can’t be made smaller.`, {
    fix: 'Give it that size again, or make a new workspace of the smaller size and copy the data over.',
  })
}

/** Less than what was asked for can be set aside, in bytes. */
export function noRoom(bytes: number, free: number): RuntimeError {
  return new RuntimeError(
    'ERR_NO_CAPACITY',
    `It asks for ${bytes} bytes more of disk, and the host has ${free} to give.`,
    { fix: 'Make room on the host, in the trash too, or ask for less.' },
  )
}

/** Its program has ended, and somebody else is in there. */
export function busy(home: string, cause: unknown): RuntimeError {
  return new RuntimeError('ERR_CONFLICT', `Something still uses the disk of the workspace, ${home}.`, {
    cause,
    fix: 'See what it is (fuser -vm on that directory, losetup -a), such as a shell, and end it.',
  })
}

/** Not ours to cover or to take away. */
export function foreignMount(home: string): RuntimeError {
  return new RuntimeError('ERR_CONFLICT', `Something that is not ours is mounted at ${home}.`, {
    fix: 'Unmount it, if nobody needs it.',
  })
}
