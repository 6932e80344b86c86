/** What is mounted from images below a directory, and which loop devices have them; so that a failed test leaves nothing. */
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'

function backingOf(device: string): string {
  try {
    return readFileSync(`${device}/loop/backing_file`, 'utf8').trimEnd()
  } catch {
    return '' // No loop device, or gone.
  }
}

/** Where file systems are mounted whose images are below a directory. */
export function diskMounts(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , device]) => backingOf(`/sys/dev/block/${device}`).startsWith(`${directory}/`))
    .map((words) => words[4] ?? '')
}

/** Loop devices that are made of images below a directory. */
export function diskDevices(directory: string): string[] {
  const names = readdirSync('/sys/block').filter((name) => name.startsWith('loop'))
  return names.filter((name) => backingOf(`/sys/block/${name}`).startsWith(`${directory}/`))
}

/** Takes away what is left of both, and tells what it was. */
export function clearDisks(directory: string): string[] {
  const mounts = diskMounts(directory)
  for (const path of mounts.toReversed()) execFileSync('umount', ['-l', path])
  const devices = diskDevices(directory)
  for (const name of devices) execFileSync('losetup', ['-d', `/dev/${name}`])
  return [...mounts, ...devices]
}
