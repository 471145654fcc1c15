/**
 * The command table of `spines`, and what becomes of a command: its exit code and its errors.
 *
 * Owns the list of subcommands and error reporting: one line on stderr, and with --json an object with
 * `code` on stdout as well. Called by main.ts; tests call `run` with arguments.
 */

import { Command, CommanderError } from 'commander';

import { registerCat } from './cat.ts';
import { registerConfig } from './config.ts';
import { registerDaemon } from './daemon.ts';
import { registerDoctor } from './doctor.ts';
import { registerExpose } from './expose.ts';
import { EXIT_NO_DAEMON, EXIT_OK, EXIT_USAGE, oneLine, toFailure, usage, type Failure } from './failure.ts';
import { registerFirewall } from './firewall.ts';
import { registerFigures } from './figures.ts';
import { registerForward } from './forward.ts';
import { registerKeys } from './keys.ts';
import { helpBelow } from './help-text.ts';
import { registerInit } from './init.ts';
import { registerLink } from './link.ts';
import { registerLinks } from './links.ts';
import { registerNodes } from './nodes.ts';
import { note, printJson, terminalColumns } from './output.ts';
import { registerPing } from './ping.ts';
import { registerReload } from './reload.ts';
import { registerReplay } from './replay.ts';
import { registerRoutes } from './routes.ts';
import { registerSessions } from './sessions.ts';
import { registerSocks } from './socks.ts';
import { registerStop } from './stop.ts';
import { registerStatus } from './status.ts';
import { registerTrace } from './trace.ts';
import { packageVersion, registerVersion } from './version.ts';

const EXIT_CODES = `
Exit codes: 0 done; 1 the answer is no (unreachable, unknown, unanswered);
${EXIT_USAGE} wrong usage, config or topology file; ${EXIT_NO_DAEMON} no daemon to talk to.

Tables fit the terminal, or COLUMNS, or 80 columns: what is cut shows "..", and
--json has it whole.`;

/** In the order of `spines help`. */
const COMMANDS: readonly ((program: Command) => void)[] = [
  registerInit, registerDaemon, registerConfig, registerReload, registerStop, registerStatus, registerDoctor,
  registerLinks, registerRoutes, registerNodes, registerSessions, registerFirewall, registerPing, registerTrace, registerCat,
  registerForward, registerExpose, registerSocks, registerLink, registerReplay, registerFigures, registerKeys, registerVersion,
];

/** Of descriptions beside their commands and flags. */
const HELP_COLUMNS_MIN = 12;

export interface RunState {
  /** The command that is running, once its arguments were accepted. */
  command: Command | null;
}

export function buildProgram(state: RunState): Command {
  const program = new Command('spines')
    .description('An overlay network: daemons, virtual links, link-state routing, and a replayable emulator.')
    .exitOverride()
    // Errors are thrown, and told by `run` in one form for all.
    .configureOutput({ outputError: () => {}, getOutHelpWidth: terminalColumns, getErrHelpWidth: terminalColumns })
    .configureHelp({ minWidthToWrap: HELP_COLUMNS_MIN })
    .showSuggestionAfterError(true)
    .version(packageVersion(), '-V, --version')
    .addHelpText('after', helpBelow(EXIT_CODES))
    .hook('preAction', (_program, command) => { state.command = command; });
  for (const register of COMMANDS) register(program);
  return program;
}

/** Runs one command line (without node and script). Resolves to the exit code; prints what there is to say. */
export async function run(argv: readonly string[]): Promise<number> {
  const state: RunState = { command: null };
  const program = buildProgram(state);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return Number(process.exitCode ?? EXIT_OK);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT_OK;
    const failure = error instanceof CommanderError ? fromCommander(error, program, argv) : toFailure(error);
    if (failure.message !== '') report(failure, wantsJson(state.command, argv));
    return failure.exitCode;
  }
}

function report(failure: Failure, json: boolean): void {
  for (const line of failure.details) note(line);
  note(`spines: ${failure.message}`);
  if (json) printJson({ error: { code: failure.code, message: failure.message, ...(failure.details.length === 0 ? {} : { details: failure.details }) } });
}

function fromCommander(error: CommanderError, program: Command, argv: readonly string[]): Failure {
  // `spines` or `spines link` alone: the help on stderr has said it all.
  if (error.code === 'commander.help') return usage('');
  const what = oneLine(error.message.replace(/^error: /, ''));
  const known = program.commands.some((command) => command.name() === argv[0]);
  return usage(`${what.replace(/\.$/, '')}; see \`spines ${known ? `${argv[0]} --help` : 'help'}\``);
}

/** --json is a switch, or a file name or "-" for `replay`. Arguments that were refused are read by eye. */
function wantsJson(command: Command | null, argv: readonly string[]): boolean {
  if (command === null) return argv.includes('--json') && argv[0] !== 'replay' || (argv[0] === 'replay' && /(^| )--json[= ]-( |$)/.test(argv.join(' ')));
  const { json } = command.opts<{ json?: boolean | string }>();
  return json === true || json === '-';
}
