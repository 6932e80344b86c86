/** The room's door: what the composition root imports. */
export { openControl } from './open.ts'
export { StartError, startCodes } from './start-error.ts'
export type { StartCode } from './start-error.ts'
export type { Control, ControlLimits, ControlOptions } from './seams.ts'
