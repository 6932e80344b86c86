/** The settings of the deployment go in and out; the cap on sharing holds for what is asked, and, at the edge, for what is there. */
import type { Deployment } from '../deployment.ts'
import type { StoredPort } from '../lifecycle/spec.ts'
import type { Db } from '../store/open.ts'
import { readSettings, writeSettings } from '../store/settings.ts'
import { ApiError, isWithinCap } from '../wire/index.ts'
import type { PatchSettings, Settings } from '../wire/index.ts'

/** Changes what is given; gateways know of it when the promise resolves. */
export async function patchSettings({ feed }: Deployment, change: PatchSettings): Promise<Settings> {
  return feed.write(async (w) => {
    const before = await readSettings(w.db)
    const after: Settings = { maxVisibility: change.maxVisibility ?? before.maxVisibility }
    if (after.maxVisibility === before.maxVisibility) return before
    await writeSettings(w.db, after)
    await w.changed('settings', 'settings')
    return after
  })
}

/**
 * Refuses ports that are to be opened more widely than the cap lets them. One that was declared so before the cap came
 * down may stay as it is: the edge narrows it. @throws ApiError visibility_too_wide
 */
export async function checkCap(
  db: Db,
  asked: readonly StoredPort[] | null,
  before: readonly StoredPort[],
): Promise<void> {
  const { maxVisibility } = await readSettings(db)
  const errors = (asked ?? []).flatMap(({ port, visibility }, index) => {
    const isKept = before.some((each) => each.port === port && each.visibility === visibility)
    return isKept || isWithinCap(visibility, maxVisibility)
      ? []
      : [
          {
            path: `ports.${index}.visibility`,
            message: `at most ${maxVisibility}; an administrator can raise it`,
          },
        ]
  })
  if (errors.length > 0) throw new ApiError('visibility_too_wide', undefined, { errors })
}
