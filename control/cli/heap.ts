/** Nothing comes in; what Node is told of its heap, where it passes bytes on for others, comes out. */

/**
 * So much may have grown old before V8 looks through the whole heap, in MiB. What read buffers hold outside of the heap
 * counts as well, and beside a small heap V8 would look through all of it whenever a few megabytes have passed: for
 * nothing, as read buffers die young. It can only be said when the process starts.
 */
export const heapFlags: readonly string[] = ['--initial-old-space-size=64']
