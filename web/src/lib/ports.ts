/** What is said of ports: in what they differ from the usual, and whether a change of them reaches the program. Pure. */
import type { EdgePort } from '../../../control/wire/ports.ts'
import type { PatchWorkspace, SpecView } from '../../../control/wire/workspace.ts'

/** In what a port differs from the usual, as a few words; '' for nothing. Who may open it is said elsewhere. */
export function unusual(port: Pick<EdgePort, 'cors' | 'hostHeader' | 'scheme' | 'lenient'>): string {
  return [
    ...(port.cors === 'app' ? ['CORS by the app'] : []),
    ...(port.hostHeader === 'local' ? ['localhost'] : []),
    ...(port.scheme === 'https' ? ['HTTPS'] : []),
    ...(port.lenient ? ['forgiving'] : []),
  ].join(', ')
}

/** True when a change reaches the program; what is only the edge's holds at once, and nothing restarts for it. */
export function reachesProgram(body: PatchWorkspace, spec: SpecView): boolean {
  const program = (ports: readonly { readonly port: number; readonly name?: string | null | undefined }[]) =>
    JSON.stringify(ports.map(({ port, name }) => [port, name ?? null]))
  const isMore = Object.keys(body).some((field) => field !== 'ports' && field !== 'paths')
  return isMore || (body.ports !== undefined && program(body.ports) !== program(spec.ports))
}

/** The composition in one line, such as `/api → 8000, / → 3000`. */
export const pathsText = (paths: SpecView['paths']): string =>
  paths.map(({ prefix, port }) => `${prefix} → ${port}`).join(', ')
