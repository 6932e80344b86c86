// All tables of torture cases, by name.
import type { Case } from './torture-case.ts'
import { answerFieldCases } from './torture-answer-fields.ts'
import { answerCases } from './torture-answers.ts'
import { brokenCases } from './torture-broken.ts'
import { fieldCases } from './torture-fields.ts'
import { frameCases } from './torture-frames.ts'
import { framingCases } from './torture-framing.ts'
import { poolCases } from './torture-pools.ts'
import { streamCases } from './torture-streams.ts'
import { targetCases } from './torture-targets.ts'
import { upgradeCases } from './torture-upgrades.ts'

export const tables: readonly (readonly [name: string, table: readonly Case[]])[] = [
  ['framing', framingCases],
  ['targets', targetCases],
  ['fields of requests', fieldCases],
  ['fields of answers', answerFieldCases],
  ['answers', answerCases],
  ['broken answers', brokenCases],
  ['connections', poolCases],
  ['upgrades', upgradeCases],
  ['frames', frameCases],
  ['streams', streamCases],
]
