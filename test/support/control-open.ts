/** Run as a process of another user: opens a store, tells its parent how that ended. */
import { openDatabase } from '../../control/store/open.ts'

openDatabase({ stateDirectory: process.argv[2] ?? '', databaseUrl: null }).then(
  async (database) => {
    await database.close()
    process.send?.({ code: 'opened' })
    process.disconnect()
  },
  (err: { code?: string; fix?: string }) => {
    process.send?.({ code: err.code, fix: err.fix })
    process.disconnect()
  },
)
