/** A directory or an image file goes in; what is mounted there, and whether a loop device has it, comes out. From /proc and /sys. */
import { readFileSync, readdirSync, realpathSync } from 'node:fs'

/** Lines of mountinfo as device and mount point, in the order of mounting. Source: proc_pid_mountinfo(5). Pure. */
export function parseMounts(latin1: string): readonly { readonly device: string; readonly path: string }[] {
  return latin1.split('\n').flatMap((line) => {
    const [, , device, , path] = line.split(' ')
    if (device === undefined || path === undefined) return []
    const bytes = path.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    )
    return [{ device, path: Buffer.from(bytes, 'latin1').toString('utf8') }]
  })
}

/**
 * What this process sees mounted at a directory itself, the topmost last: of each the file that its loop device is made
 * of, or null for any other device.
 */
export function mountsAt(directory: string): readonly (string | null)[] {
  const path = realOf(directory)
  return parseMounts(readFileSync('/proc/self/mountinfo', 'latin1'))
    .filter((mount) => mount.path === path)
    .map(({ device }) => backingOf(`/sys/dev/block/${device}`))
}

/** The loop devices that are made of the image, in whatever mount namespace they are mounted, if at all. */
export function devicesOf(image: string): readonly string[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop') && backingOf(`/sys/block/${name}`) === image)
    .map((name) => `/dev/${name}`)
}

function backingOf(device: string): string | null {
  try {
    // A file that was taken away meanwhile is still what it was made of.
    return readFileSync(`${device}/loop/backing_file`, 'utf8')
      .trimEnd()
      .replace(/ \(deleted\)$/, '')
  } catch {
    return null // Not a loop device, or one that has just been let go.
  }
}

/** The path as the kernel knows it. */
export function realOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path // It isn't there, so nothing is mounted there.
  }
}
