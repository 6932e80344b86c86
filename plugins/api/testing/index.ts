/** `@postern/plugin/testing`: the conformance kit and a runtime in memory, for authors of plugins and of hosts. */
export type { Case, ConformanceFactory, Foreign } from './factory.ts'
export { conformance, runConformance } from './conformance.ts'
export type { Summary } from './conformance.ts'
export { PROBE_PATH, PROBE_PORT, nodeProbe, shellProbe } from './probe.ts'
export { fakeRuntime } from './fake-runtime.ts'
export type { FakeCall, FakeOptions, FakeRuntime } from './fake-runtime.ts'
export type { Fault, FaultVerb, Sleep } from './fake-faults.ts'
