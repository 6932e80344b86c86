/** The templates of this server, read once and again on demand. */
import type { TemplateView } from '../../../control/wire/workspace.ts'
import { Loaded } from './load.svelte.ts'
import { api } from './session.svelte.ts'

/** The templates of the page. */
export const catalog = new Loaded<readonly TemplateView[]>(
  async (signal) => (await api.templates(signal)).items,
)
