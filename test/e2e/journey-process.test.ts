/** The journey on plain processes: standalone, and as server and agent. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { journey, type Journey } from './journey.ts'

const leftOver: Journey['leftOver'] = (product, id) =>
  access(join(product.agentStateDirectory, 'agent', 'plugin', 'workspaces', id)).then(
    () => 1,
    () => 0,
  )
journey(t, { mode: 'standalone', runtime: 'process', leftOver })
journey(t, { mode: 'split', runtime: 'process', leftOver })
