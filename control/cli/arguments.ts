/** Command-line words come in; the chosen command runs with what was given as flags. yargs stays in this file. */
import yargs, { type Argv } from 'yargs'
import { envName } from './config.ts'
import { optionTables, type CommandName, type OptionTable } from './options.ts'
import { StartupError } from './startup-error.ts'

/** What the commands do; each resolves when it is over. */
export interface Commands {
  service(name: CommandName, flags: Readonly<Record<string, unknown>>): Promise<void>
  buildImages(templates: readonly string[], buildDirectory: string | undefined): Promise<void>
  checkPlugin(specifier: string, configFile: string | undefined): Promise<void>
}

/** The last lines of every command's help. */
const helpEpilogue = `Every option can be set in the file, or as ${envName('…')}; flags win over the environment, that over the file.`

const summaries: Readonly<Record<CommandName, string>> = {
  standalone: 'Gateway, control and agent in one process (the default)',
  server: 'Gateway and control; agents run elsewhere',
  agent: 'Runs workspaces on this machine for a server elsewhere',
  gateway: 'Serves visitors beside a server elsewhere, on all cores',
}

/** Parses and runs. `--help` and `--version` print and run nothing. @throws StartupError config_invalid on unknown words */
export async function runArguments(
  words: readonly string[],
  version: string,
  commands: Commands,
): Promise<void> {
  const cli = yargs([...words])
    .scriptName('postern')
    .usage('$0 [command] [options]')
    .locale('en')
    .wrap(100)
    .version(version)
    .exitProcess(false)
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .epilogue(helpEpilogue)
    .strict()
    .fail((message, err) => {
      if (err instanceof StartupError) throw err
      throw new StartupError('config_invalid', {
        message: `${message ?? err.message}.`.replace(/\.\.$/, '.'),
        next: '`postern --help` shows commands and options.',
        ...(message ? {} : { cause: err }),
      })
    })
  for (const name of ['standalone', 'server', 'agent', 'gateway'] as const) addService(cli, name, commands)
  addTools(cli, commands)
  await cli.parseAsync()
}

function addService(cli: Argv, name: CommandName, commands: Commands): void {
  cli.command(
    name === 'standalone' ? ['standalone', '$0'] : name,
    summaries[name],
    (builder) =>
      builder.options(flagsOf(optionTables[name])).option('config', {
        type: 'string',
        requiresArg: true,
        describe: 'YAML file with any of these options, underscores for hyphens',
        defaultDescription: '~/.config/postern/config.yml',
      }),
    (flags) => commands.service(name, flags),
  )
}

function addTools(cli: Argv, commands: Commands): void {
  cli.command('images', 'Images of the built-in templates', (images) =>
    images.demandCommand(1, 'Say what to do with images: postern images build').command(
      'build [templates..]',
      'Builds them on this machine’s Docker Engine',
      (builder) =>
        builder
          .positional('templates', { type: 'string', array: true, describe: 'Names of templates; none: all' })
          .option('build-directory', {
            alias: 'b',
            type: 'string',
            requiresArg: true,
            describe: 'Folder for temporary files',
            defaultDescription: 'the system’s, such as /tmp',
          }),
      (flags) => commands.buildImages(flags.templates ?? [], flags['build-directory']),
    ),
  )
  cli.command('plugin', 'Runtime plugins', (plugin) =>
    plugin.demandCommand(1, 'Say what to do with a plugin: postern plugin check <package>').command(
      'check <package>',
      'Runs the conformance kit against a runtime plugin',
      (builder) =>
        builder
          .positional('package', {
            type: 'string',
            demandOption: true,
            describe: 'Name or path of the package',
          })
          .option('config', {
            type: 'string',
            requiresArg: true,
            describe: 'YAML file whose runtime_config is used where its runtime is this package',
            defaultDescription: '~/.config/postern/config.yml',
          }),
      (flags) => commands.checkPlugin(flags.package, flags.config),
    ),
  )
}

/** yargs gets no defaults: what was not given must not look given. */
function flagsOf(table: OptionTable): Record<string, object> {
  return Object.fromEntries(
    Object.entries(table)
      .filter(([, row]) => (row.from ?? 'any') === 'any')
      .map(([name, row]) => {
        const shown = row.defaultDescription ?? row.initial
        return [
          name,
          {
            type: 'string',
            requiresArg: row.bare !== true,
            describe: row.describe,
            ...(row.alias === undefined ? {} : { alias: row.alias }),
            ...(row.array === true ? { array: true, nargs: 1 } : {}),
            ...(typeof shown === 'string' ? { defaultDescription: shown } : {}),
          },
        ]
      }),
  )
}
