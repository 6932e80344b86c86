/** What a person can choose from: templates and limits, and the description of the API itself. */
import type { Route } from '../call.ts'
import type { Deployment } from '../deployment.ts'
import { offering } from '../limits.ts'
import { openApi } from '../openapi.ts'
import { readLimits } from '../service/workspaces.ts'
import { listHosts } from '../store/hosts.ts'
import { templateView } from '../templates.ts'
import { paths } from '../wire/index.ts'

export function offerRoutes(deployment: Deployment): Route[] {
  const { feed, templates, options } = deployment
  const description = openApi(options.version, options.publicUrl)
  return [
    {
      method: 'GET',
      path: paths.templates,
      async run() {
        const hosts = offering(await listHosts(feed.db))
        return {
          status: 200,
          body: { items: [...templates.values()].map((each) => templateView(each, hosts)) },
        }
      },
    },
    {
      method: 'GET',
      path: paths.limits,
      async run({ person }) {
        return { status: 200, body: await readLimits(deployment, feed.db, person) }
      },
    },
    {
      method: 'GET',
      path: paths.openapi,
      run() {
        return Promise.resolve({ status: 200, body: description })
      },
    },
  ]
}
