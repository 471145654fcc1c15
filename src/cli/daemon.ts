/**
 * `spines daemon`: runs one daemon in the foreground until a signal ends it.
 *
 * Owns flags over config file and the signals; the daemon itself is host/daemon.ts's. The first SIGTERM
 * or SIGINT drains, a second one ends at once.
 */

import { Option, type Command } from 'commander';

import type { RunningDaemon } from '../host/daemon.ts';
import { LOG_LEVELS, loadConfigFile, type ConfigOverride, type DaemonFileConfig, type LogLevel } from '../host/config-file.ts';
import { readTextFile } from './config.ts';
import { usage } from './failure.ts';
import { makeLog } from './log.ts';
import { collect } from './values.ts';

export interface DaemonFlags {
  config?: string;
  name?: string;
  id?: string;
  listen?: string[];
  link?: string[];
  socket?: string;
  logLevel?: LogLevel;
  allowEmulation?: boolean;
  exitWithParent?: boolean;
}

/** What a daemon whose parent is gone gets to say goodbye. */
const ORPHAN_DRAIN_MS = 500;

export function registerDaemon(program: Command): void {
  program.command('daemon').description('run a daemon in the foreground')
    .option('--config <file>', 'YAML config file; the flags below stand over it')
    .option('--name <name>', 'node name')
    .option('--id <quad>', 'node id, as in 10.0.0.1 (required, here or in the file)')
    .option('--listen <address:port>', 'UDP address to listen on (repeatable; default 0.0.0.0:8100)', collect)
    .option('--link <address:port>', 'neighbour to dial (repeatable)', collect)
    .option('--socket <path>', 'Unix socket for clients')
    .addOption(new Option('--log-level <level>', 'least severe messages to log').choices(LOG_LEVELS))
    .option('--allow-emulation', 'let clients change emulated link characteristics')
    .addOption(new Option('--exit-with-parent', 'end when standard input does').hideHelp())
    .action(runDaemon);
}

async function runDaemon(flags: DaemonFlags): Promise<void> {
  const config = readConfig(flags);
  // Loaded here: the other commands start faster without them.
  const { exitOnBug, startDaemon } = await import('../host/daemon.ts');
  const log = await makeLog(config.logLevel);
  exitOnBug(log);

  let running: RunningDaemon | null = null;
  let stopping = false;
  let orphanTimer: NodeJS.Timeout | undefined;
  const stop = (why: string): void => {
    stopping = true;
    log.info({ why }, 'stopping');
    if (running === null) process.exit(0);
    void running.stop();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (!stopping) {
        stop(signal);
        return;
      }
      log.warn({ signal }, 'stopped without draining');
      process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  }
  if (flags.exitWithParent === true) {
    const orphaned = (): void => {
      if (orphanTimer !== undefined) return;
      orphanTimer = setTimeout(() => process.exit(0), ORPHAN_DRAIN_MS);
      if (!stopping) stop('parent is gone');
    };
    process.stdin.on('end', orphaned).on('close', orphaned).on('error', orphaned).resume();
  }

  running = await startDaemon({
    config: config.node,
    listen: config.listen,
    client: config.client,
    emulation: config.emulation.links,
    emulationSeed: config.emulation.seed,
    log,
  });
  await running.done;
  clearTimeout(orphanTimer);
  process.stdin.destroy();
}

function readConfig(flags: DaemonFlags): DaemonFileConfig {
  const overrides = overridesOf(flags);
  if (flags.config !== undefined) return loadConfigFile(readTextFile(flags.config, 'config file'), flags.config, overrides);
  if (flags.id === undefined) throw usage('a daemon needs an id; give --config FILE, or --id such as 10.0.0.1');
  return loadConfigFile('', 'command line', overrides);
}

/** The flags that were given, as changes to the config file's data. */
export function overridesOf(flags: DaemonFlags): ConfigOverride[] {
  const overrides: ConfigOverride[] = [];
  const add = (flag: string, path: readonly string[], value: unknown): void => {
    if (value !== undefined) overrides.push({ flag, path, value });
  };
  add('--name', ['name'], flags.name);
  add('--id', ['id'], flags.id);
  add('--listen', ['listen'], flags.listen);
  add('--link', ['links'], flags.link?.map((address) => ({ address })));
  add('--socket', ['client', 'socket'], flags.socket);
  add('--log-level', ['log', 'level'], flags.logLevel);
  add('--allow-emulation', ['emulation', 'allow'], flags.allowEmulation);
  return overrides;
}
