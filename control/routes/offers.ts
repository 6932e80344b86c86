/** What a person can choose from: templates and limits, and the description of the API itself. */
import type { Route } from '../api/call.ts'
import type { Deployment } from '../deployment.ts'
import { openApi } from '../api/openapi.ts'
import { readLimits } from '../service/workspaces.ts'
import { listHosts } from '../store/hosts.ts'
import { templateView } from '../templates.ts'
import { isRestricted, mayUseHost, mayUseTemplate, needsOf } from '../authorization/uses.ts'
import { readUses } from '../authorization/whose.ts'
import { paths } from '../wire/index.ts'

export function offerRoutes(deployment: Deployment): Route[] {
  const { feed, templates, options, now } = deployment
  const description = openApi(options.version, options.publicUrl)
  return [
    {
      method: 'GET',
      path: paths.templates,
      async run({ person }) {
        const uses = await readUses(feed.db, now())
        const all = await listHosts(feed.db)
        const seen = [...templates.values()].filter(
          ({ name }) => person.readsAll || mayUseTemplate(uses, name, person),
        )
        return {
          status: 200,
          body: {
            items: seen.map((each) => {
              const needs = needsOf(each)
              const open = all.filter(({ id }) => person.readsAll || mayUseHost(uses, id, person, needs))
              return templateView(each, { all, open }, isRestricted(uses, 'template', each.name))
            }),
          },
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
