/**
 * The command table of `spines`, and what becomes of a command: its exit code and its errors.
 *
 * Owns the list of subcommands and error reporting: one line on stderr, and with --json an object
 * with `code` on stdout as well. Called by main.ts; tests call `run` with arguments.
 */

import { Command, CommanderError } from 'commander';

import {
  EXIT_NO_DAEMON,
  EXIT_OK,
  EXIT_USAGE,
  oneLine,
  toFailure,
  usage,
  type Failure,
} from './terminal/failure.ts';
import { helpBelow } from './terminal/help-text.ts';
import { note, printJson, terminalColumns } from './terminal/output.ts';
import { packageVersion } from './version.ts';

const EXIT_CODES = `
Exit codes: 0 done; 1 the answer is no (unreachable, unknown, unanswered);
${EXIT_USAGE} wrong usage, config or topology file; ${EXIT_NO_DAEMON} no daemon to talk to.

Tables fit the terminal, or COLUMNS, or 80 columns: what is cut shows "..", and
--json has it whole.`;

type Register = (program: Command, all: () => Promise<Command>) => void;

/**
 * In the order of `spines help`. To load all of them takes half a second, so where one is called by
 * name it alone is loaded.
 */
const COMMANDS: Readonly<Record<string, () => Promise<Register>>> = {
  init: async () => (await import('./keys/init.ts')).registerInit,
  daemon: async () => (await import('./daemon.ts')).registerDaemon,
  config: async () => (await import('./config.ts')).registerConfig,
  reload: async () => (await import('./reload.ts')).registerReload,
  stop: async () => (await import('./stop.ts')).registerStop,
  drain: async () => (await import('./drain.ts')).registerDrain,
  status: async () => (await import('./look/status.ts')).registerStatus,
  doctor: async () => (await import('./look/doctor.ts')).registerDoctor,
  links: async () => (await import('./look/links.ts')).registerLinks,
  routes: async () => (await import('./look/routes.ts')).registerRoutes,
  nodes: async () => (await import('./look/nodes.ts')).registerNodes,
  groups: async () => (await import('./look/groups.ts')).registerGroups,
  sessions: async () => (await import('./look/sessions.ts')).registerSessions,
  firewall: async () => (await import('./look/firewall.ts')).registerFirewall,
  watch: async () => (await import('./look/watch.ts')).registerWatch,
  capture: async () => (await import('./capture/capture.ts')).registerCapture,
  explain: async () => (await import('./look/explain.ts')).registerExplain,
  graph: async () => (await import('./look/graph.ts')).registerGraph,
  top: async () => (await import('./top/top.ts')).registerTop,
  dashboard: async () => (await import('./dashboard/dashboard.ts')).registerDashboard,
  ping: async () => (await import('./look/ping.ts')).registerPing,
  trace: async () => (await import('./look/trace.ts')).registerTrace,
  cat: async () => (await import('./cat/cat.ts')).registerCat,
  forward: async () => (await import('./tunnel/forward.ts')).registerForward,
  expose: async () => (await import('./tunnel/expose.ts')).registerExpose,
  bridge: async () => (await import('./tunnel/bridge.ts')).registerBridge,
  socks: async () => (await import('./tunnel/socks.ts')).registerSocks,
  talk: async () => (await import('./talk/talk.ts')).registerTalk,
  link: async () => (await import('./look/link.ts')).registerLink,
  log: async () => (await import('./log-level.ts')).registerLog,
  demo: async () => (await import('./demo/demo.ts')).registerDemo,
  replay: async () => (await import('./replay/replay.ts')).registerReplay,
  figures: async () => (await import('./figures.ts')).registerFigures,
  keys: async () => (await import('./keys/keys.ts')).registerKeys,
  completion: async () => (await import('./reference/completion.ts')).registerCompletion,
  reference: async () => (await import('./reference/reference.ts')).registerReference,
  version: async () => (await import('./version.ts')).registerVersion,
};

/** Of descriptions beside their commands and flags. */
const HELP_COLUMNS_MIN = 12;

export interface RunState {
  /** The command that is running, once its arguments were accepted. */
  command: Command | null;
}

/**
 * The program as it is called with `argv`: with the command that this names alone, else with all of
 * them.
 */
export async function buildProgram(state: RunState, argv: readonly string[]): Promise<Command> {
  const program = new Command('spines')
    .description(
      'An overlay network: daemons, virtual links, link-state routing, and a replayable emulator.',
    )
    .exitOverride()
    // Errors are thrown, and told by `run` in one form for all.
    .configureOutput({
      outputError: () => {},
      getOutHelpWidth: terminalColumns,
      getErrHelpWidth: terminalColumns,
    })
    .configureHelp({ minWidthToWrap: HELP_COLUMNS_MIN })
    .showSuggestionAfterError(true)
    .version(packageVersion(), '-V, --version')
    .addHelpText('after', helpBelow(EXIT_CODES))
    .hook('preAction', (_program, command) => {
      state.command = command;
    });
  const first = argv[0] ?? '',
    name = first === '-V' || first === '--version' ? 'version' : first;
  const called = Object.hasOwn(COMMANDS, name) ? [COMMANDS[name]!] : Object.values(COMMANDS);
  const all = (): Promise<Command> => buildProgram({ command: null }, []);
  for (const register of await Promise.all(called.map((load) => load()))) register(program, all);
  return program;
}

/**
 * Runs one command line (without node and script). Resolves to the exit code; prints what there is
 * to say.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const state: RunState = { command: null };
  const program = await buildProgram(state, argv);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return Number(process.exitCode ?? EXIT_OK);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT_OK;
    const failure =
      error instanceof CommanderError ? fromCommander(error, program, argv) : toFailure(error);
    if (failure.message !== '') report(failure, wantsJson(state.command, argv));
    return failure.exitCode;
  }
}

function report(failure: Failure, json: boolean): void {
  for (const line of failure.details) note(line);
  note(`spines: ${failure.message}`);
  if (json)
    printJson({
      error: {
        code: failure.code,
        message: failure.message,
        ...(failure.details.length === 0 ? {} : { details: failure.details }),
      },
    });
}

function fromCommander(error: CommanderError, program: Command, argv: readonly string[]): Failure {
  // `spines` or `spines link` alone: the help on stderr has said it all.
  if (error.code === 'commander.help') return usage('');
  const what = oneLine(error.message.replace(/^error: /, ''));
  const known = program.commands.some((command) => command.name() === argv[0]);
  return usage(
    `${what.replace(/\.$/, '')}; see \`spines ${known ? `${argv[0]} --help` : 'help'}\``,
  );
}

/**
 * --json is a switch, or a file name or "-" for `replay`. Arguments that were refused are read by
 * eye.
 */
function wantsJson(command: Command | null, argv: readonly string[]): boolean {
  if (command === null)
    return (
      (argv.includes('--json') && argv[0] !== 'replay') ||
      (argv[0] === 'replay' && /(^| )--json[= ]-( |$)/.test(argv.join(' ')))
    );
  const { json } = command.opts<{ json?: boolean | string }>();
  return json === true || json === '-';
}
