/** The process plugin keeps every promise of the kit. */
import t from 'tap'
import { conformance as factory } from '@postern/plugin-process/conformance'
import { conformance } from '@postern/plugin/testing'

t.jobs = 4
for (const { name, needs, run } of conformance(factory)) {
  const skip = needs !== undefined && !factory.plugin.capabilities[needs]
  t.test(name, { skip: skip && `needs ${needs}` }, run)
}
