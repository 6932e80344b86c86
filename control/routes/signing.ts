/** The public keys of identity assertions, for programs that check them. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { publicKeys } from '../service/signing.ts'
import { paths } from '../wire/index.ts'

export function signingRoutes(deployment: Deployment): Route[] {
  return [
    {
      method: 'GET',
      path: paths.jwks,
      run: async () => ({ status: 200, body: await publicKeys(deployment) }),
    },
  ]
}
