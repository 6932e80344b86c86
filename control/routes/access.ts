/** Who may what, as routes: groups, grants, and what only the holders of grants may use. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { grantRoutes } from './grants.ts'
import { groupRoutes } from './groups.ts'
import { restrictionRoutes } from './restrictions.ts'

export const accessRoutes = (deployment: Deployment): Route[] => [
  ...groupRoutes(deployment),
  ...grantRoutes(deployment),
  ...restrictionRoutes(deployment),
]
