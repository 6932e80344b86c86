/** The fake passes the kit; and a fake that breaks a promise is caught by it. */
import t from 'tap'
import { conformance, fakeRuntime, runConformance } from '@postern/plugin/testing'

for (const listen of [false, true]) {
  t.test(`the fake keeps every promise, ${listen ? 'on loopback' : 'in memory'}`, async (t) => {
    const { plugin } = fakeRuntime({
      listen,
      gpus: 2,
      capabilities: {
        images: true,
        gpus: true,
        mounts: true,
        hostNetwork: true,
        limits: { disk: true },
        growsDisk: listen,
      },
    })
    for (const { name, run } of conformance({ plugin, program: {} })) t.test(name, run)
  })
}

t.test('the runner counts what passed, failed and was skipped', async (t) => {
  // Only one case asks how it is; most of the others list, side by side.
  const { plugin } = fakeRuntime({ faults: [{ verb: 'health', kind: 'fail', code: 'ERR_UNAVAILABLE' }] })
  const text: string[] = []
  const summary = await runConformance({ plugin, program: {} }, (line) => text.push(line))
  t.equal(summary.failed, 1)
  t.equal(summary.skipped, 8, 'images, gpus, mounts, hostNetwork and limits are not declared')
  t.match(text.at(-1), /^\d+ passed, 1 failed, 8 skipped\n$/)
})
