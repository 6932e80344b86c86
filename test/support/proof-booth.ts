/** A workspace that its owner has alone, with the grants of the matrix on it: what path mode is tried on. */
import { createHash, randomBytes } from 'node:crypto'
import { hashOf } from './gateway-control.ts'
import { type People, portsOf, type Visitor } from './proof-people.ts'

export interface Booth {
  readonly workspaceId: string
  /**
   * What a visitor might come with by path. A person brings a session there that control made for them, whether or not a
   * hand-off would have led to one: the decision alone has to keep them out.
   */
  papers(visitor: Visitor): Promise<readonly string[]>
}

/** Makes `booth`, mia's own, running. */
export async function startBooth({ place, app, papers }: People): Promise<Booth> {
  const { owner } = papers
  const levels = ['owner', 'shared', 'members', 'link', 'public'] as const
  const ports = levels.map((visibility) => ({ port: portsOf[visibility], visibility }))
  const made = await owner.api.must('POST', '/api/v1/workspaces', { name: 'booth', image: 'any:1', ports })
  const workspaceId = String(made['id'])
  const mapped = Object.fromEntries(Object.values(portsOf).map((port) => [port, app.port]))
  await place.agent.obey([{ id: workspaceId, reach: { kind: 'ports', host: '127.0.0.1', ports: mapped } }])
  const idOf = async (visitor: Visitor): Promise<string> =>
    String((await papers[visitor].api.must('GET', '/api/v1/me'))['id'])
  for (const role of ['viewer', 'editor', 'manager'] as const)
    await owner.api.must('POST', '/api/v1/grants', {
      subject: { kind: 'user', id: await idOf(role) },
      object: { kind: 'workspace', id: workspaceId },
      role,
    })
  const glass = papers['administrator with broken glass'].api
  await glass.must('POST', `/api/v1/workspaces/${workspaceId}/break-glass`, { reason: 'the matrix is tried' })
  const { edge } = place.control.control
  const label = '/dev/booth'
  return {
    workspaceId,
    async papers(visitor) {
      const { api, dashboard } = papers[visitor]
      const proof = papers[visitor].host('shop-3004')
      if (api.token !== undefined || visitor === 'nobody') return proof
      const session = /(?:^Cookie: |; )postern_session=([^;]+)/.exec(dashboard[0] ?? '')?.[1] ?? ''
      if (visitor === 'disabled' || visitor.startsWith('guest'))
        return [`Cookie: postern_path_booth=${session}`]
      const nonce = randomBytes(32).toString('base64url')
      const code = await edge.issueCode({
        userId: await idOf(visitor),
        parentHash: hashOf(session),
        workspaceId,
        label,
        challenge: createHash('sha256').update(nonce).digest('base64url'),
      })
      const { token } = await edge.redeemCode(
        { code, nonce, label },
        { ip: '127.0.0.1', userAgent: '', requestId: 'r' },
      )
      return [`Cookie: postern_path_booth=${token}`]
    },
  }
}
