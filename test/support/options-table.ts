/** The option tables come in; the Markdown that the README shows of them comes out. */
import { envName, fileKey } from '../../control/cli/config.ts'
import { optionTables, type OptionRow } from '../../control/cli/options.ts'

/** The tables of all commands, between the README's markers. */
export function optionsMarkdown(): string {
  const { standalone, server, agent, gateway } = optionTables
  return [
    section('standalone', standalone, 'The default command.'),
    section('agent', agent, ''),
    section('gateway', gateway, ''),
    `\`postern server\` has all of \`standalone\` but ${Object.keys(standalone)
      .filter((name) => !(name in server))
      .map((name) => `\`${name}\``)
      .join(' and ')}.`,
  ].join('\n\n')
}

function section(title: string, table: Readonly<Record<string, OptionRow>>, text: string): string {
  const rows = Object.entries(table).map(([name, row]) => {
    const from = row.from ?? 'any'
    const short = row.alias === undefined ? '' : `, \`-${row.alias}\``
    const flag = from === 'any' ? `\`--${name}\`${short}` : '–'
    const env = from === 'file' ? '–' : `\`${envName(name)}\``
    const initial = row.defaultDescription ?? (typeof row.initial === 'string' ? row.initial : 'none')
    return [flag, env, `\`${fileKey(name)}\``, escape(initial), escape(row.describe)]
  })
  const head = ['Flag', 'Environment', 'File', 'Default', 'What it says']
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  return [`### \`postern ${title}\``, ...(text === '' ? [] : [text]), lines.join('\n')].join('\n\n')
}

const escape = (text: string) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
