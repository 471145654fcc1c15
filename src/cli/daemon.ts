/**
 * `spines daemon`: runs one daemon in the foreground until a signal ends it.
 *
 * Owns flags over config file and what a reload reads. Signals are daemon-signals.ts's, the daemon
 * itself is host/daemon.ts's.
 */

import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Option, type Command } from 'commander';

import { SpinesError } from '../core/base/errors.ts';
import { formatNodeId } from '../core/base/ids.ts';
import type { Log } from '../core/base/log.ts';
import { Membership } from '../core/crypto/membership.ts';
import type { Primitives } from '../core/crypto/primitives.ts';
import type { Logger } from 'pino';
import type { OffloadFound } from '../host/net/offload.ts';
import type { Reload } from '../host/daemon-options.ts';
import type { LogWriter } from '../host/log/log-writer.ts';
import {
  LOG_LEVELS,
  SECURITIES,
  type LogLevel,
  type Security,
} from '../host/config/config-file.ts';
import type { ConfigOverride } from '../host/config/config-places.ts';
import { planReload, type LoadedConfig } from '../host/config/reload.ts';
import { secureRandom } from '../host/primitives/secure-random.ts';
import { wallClock } from '../host/system-clock.ts';
import { AuditLog } from './audit.ts';
import { loadConfig } from './config.ts';
import { EXIT_BUG, toFailure, usage } from './terminal/failure.ts';
import { DaemonSignals } from './daemon-signals.ts';
import { letYoungHeapGrow } from './heap.ts';
import { nodeFolder } from './keys/keys-files.ts';
import { openLog, targetOf } from './terminal/log.ts';
import { collect } from './terminal/values.ts';

export interface DaemonFlags {
  config?: string;
  name?: string;
  id?: string;
  listen?: string[];
  link?: string[];
  socket?: string;
  security?: Security;
  identity?: string;
  logLevel?: LogLevel;
  logFile?: string;
  crypto?: string;
  offload?: boolean;
  allowEmulation?: boolean;
  allowMisbehaviour?: boolean;
  exitWithParent?: boolean;
}

/** Links are up and routes known by then. */
const SETTLED_MS = 5_000;

export function registerDaemon(program: Command): void {
  program
    .command('daemon')
    .description('run a daemon in the foreground')
    .option('--config <file>', 'YAML config file; the flags below stand over it')
    .option('--name <name>', 'node name')
    .option('--id <quad>', 'node id, as in 10.0.0.1 (needed where no certificate says it)')
    .option(
      '--listen <address:port>',
      'UDP address to listen on (repeatable; default 0.0.0.0:8100)',
      collect,
    )
    .option('--link <address:port>', 'neighbour to dial (repeatable)', collect)
    .option('--socket <path>', 'Unix socket for clients')
    .option(
      '--identity <dir>',
      "folder with the node's key and certificate, as `spines init` makes it",
    )
    .addOption(
      new Option(
        '--security <mode>',
        'none: links that anyone can join and read, for a laboratory (default: sealed)',
      ).choices(SECURITIES),
    )
    .addOption(
      new Option('--log-level <level>', 'least severe messages to log').choices(LOG_LEVELS),
    )
    .option('--log-file <file>', 'log to this file instead of standard error')
    .option(
      '--crypto <name>',
      'what seals: libsodium, node:crypto or @noble (default: the fastest that is there)',
    )
    .option(
      '--no-offload',
      'one system call for each datagram, even where the system can take many at once',
    )
    .option('--allow-emulation', 'let clients change emulated link characteristics')
    .option(
      '--allow-misbehaviour',
      'let local clients make this daemon drop what it should pass on, for a laboratory',
    )
    .addOption(new Option('--exit-with-parent', 'end when standard input does').hideHelp())
    .action(runDaemon);
}

async function runDaemon(flags: DaemonFlags): Promise<void> {
  // What a daemon writes is for its user alone, whatever shell or unit starts it.
  process.umask(0o077);
  const current = readConfig(flags);
  const { config, identity } = current;
  const { log, writer } = await openLog(config.logLevel, config.logFile);
  // Several daemons may log to one place.
  log.setBindings({
    name: config.node.name === '' ? formatNodeId(config.node.id) : config.node.name,
  });
  // Loaded here: the other commands start faster without it.
  const { startDaemon } = await import('../host/daemon.ts');
  for (const note of identity?.notes ?? []) log.warn(note);
  if (config.node.allowMisbehaviour)
    log.warn(
      'clients may make this daemon misbehave; remove `laboratory.misbehaviour` outside a ' +
        'laboratory',
    );
  if (config.security === 'none' && config.identity !== null)
    log.warn(
      'the identity is not used with security: none; remove `security: none` to seal the links',
    );
  const audit = new AuditLog(log);
  audit.prepare(config.auditFile)();
  const primitives = identity === null ? null : await choosePrimitives(flags.crypto, log);
  const membership =
    identity === null || primitives === null
      ? null
      : new Membership(primitives, identity.credentials, wallClock, secureRandom);

  const signals = new DaemonSignals(log);
  if (flags.exitWithParent === true) signals.endWithParent();

  const running = await startDaemon({
    ...(await offloadFor(flags, config.dscp, log)),
    config: config.node,
    listen: config.listen,
    client: config.client,
    http: config.http,
    emulation: config.emulation.links,
    emulationSeed: config.emulation.seed,
    membership,
    revocationsPath: config.identity?.revocations ?? null,
    reload: reloader(
      flags,
      current,
      membership,
      { log, writer, audit },
      () => signals.running?.node.config,
    ),
    log,
    logFigures: () => writer.figures,
    audit: audit.write,
    auditFigures: () => audit.figures,
  });
  signals.started(running);
  setTimeout(letYoungHeapGrow, SETTLED_MS).unref();
  await running.done;
  signals.over();
}

async function offloadFor(flags: DaemonFlags, dscp: number, log: Logger): Promise<OffloadFound> {
  const { findOffload } = await import('../host/net/offload.ts');
  const found = findOffload(flags.offload !== false);
  if (found.offload !== null) found.offload.dscp = dscp;
  else if (dscp !== 0)
    log.warn(
      { dscp, reason: found.without },
      '`dscp` has no effect: datagrams leave unmarked where sockets are made by Node alone',
    );
  return found;
}

/**
 * Reads the files again, and says what differs from what was in force; `first`: at the start.
 */
function reloader(
  flags: DaemonFlags,
  first: LoadedConfig,
  membership: Membership | null,
  { log, writer, audit }: { log: Logger; writer: LogWriter; audit: AuditLog },
  inForce: () => LoadedConfig['config']['node'] | undefined,
): () => Reload {
  let current = first;
  return () => {
    const next = readAgain(flags);
    // Operators may have changed what it dials since.
    const dials = inForce()?.dials ?? current.config.node.dials;
    const { config } = current;
    const { changes, identityChanged } = planReload(
      { ...current, config: { ...config, node: { ...config.node, dials } } },
      next,
      membership?.trust.revocations ?? [],
    );
    // The last that may fail.
    const target = isDeepStrictEqual(current.config.logFile, next.config.logFile)
      ? null
      : targetOf(next.config.logFile);
    const sameAudit = isDeepStrictEqual(current.config.auditFile, next.config.auditFile);
    const useAudit = sameAudit ? () => audit.reopen() : audit.prepare(next.config.auditFile);
    for (const note of next.identity?.notes ?? []) log.warn(note);
    useAudit();
    if (target === null) writer.reopen();
    else writer.use(target);
    current = next;
    return {
      config: next.config.node,
      credentials: identityChanged ? next.identity!.credentials : null,
      logLevel: next.config.logLevel,
      roles: next.config.client.roles,
      changes,
    };
  };
}

function readConfig(flags: DaemonFlags): LoadedConfig {
  if (flags.config === undefined && flags.identity === undefined) {
    if (flags.security !== 'none')
      throw usage(
        'a daemon needs an identity; give --config FILE or --identity DIR as `spines init` makes ' +
          'them, or --security none --id QUAD for a laboratory',
      );
    if (flags.id === undefined)
      throw usage('a daemon needs an id; give --config FILE, or --id such as 10.0.0.1');
  }
  return loadConfig(flags.config ?? null, overridesOf(flags));
}

/**
 * As `readConfig`; whatever the files are by now is the operator's to correct, and no reason to end
 * the daemon.
 */
function readAgain(flags: DaemonFlags): LoadedConfig {
  try {
    return readConfig(flags);
  } catch (error) {
    if (error instanceof SpinesError) throw error;
    const { exitCode, code, message } = toFailure(error);
    throw exitCode === EXIT_BUG ? error : new SpinesError(code, message);
  }
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
  add(
    '--link',
    ['links'],
    flags.link?.map((address) => ({ address })),
  );
  add('--socket', ['client', 'socket'], flags.socket);
  add('--security', ['security'], flags.security);
  add(
    '--identity',
    ['identity'],
    flags.identity === undefined ? undefined : identityIn(flags.identity),
  );
  add('--log-level', ['log', 'level'], flags.logLevel);
  add(
    '--log-file',
    ['log', 'file'],
    flags.logFile === undefined ? undefined : resolve(flags.logFile),
  );
  add('--allow-emulation', ['emulation', 'allow'], flags.allowEmulation);
  add('--allow-misbehaviour', ['laboratory', 'misbehaviour'], flags.allowMisbehaviour);
  return overrides;
}

/**
 * The identity in a folder of `spines init`: one node's key, its certificate and the authorities to
 * trust.
 */
function identityIn(folder: string): Record<string, unknown> {
  // A flag's path is meant from where the command runs.
  const dir = resolve(folder);
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch {
    throw usage(
      `--identity ${folder} is no folder that can be read; give the folder with node.key, ` +
        'node.crt and authority.pub',
    );
  }
  const authorities = names
    .filter((name) => /^authority.*\.pub$/.test(name))
    .sort()
    .map((name) => join(dir, name));
  if (authorities.length === 0)
    throw usage(
      `--identity ${folder} has no authority*.pub in it; copy the authority's public file there`,
    );
  const { key, certificate, revocations } = nodeFolder(dir);
  return { key, certificate, authorities, revocations };
}

/** The fastest here, or the one that is called `wanted`. */
async function choosePrimitives(wanted: string | undefined, log: Log): Promise<Primitives> {
  const { availablePrimitives } = await import('../host/primitives/choose-primitives.ts');
  const available = availablePrimitives();
  const chosen =
    wanted === undefined
      ? available[0]!
      : available.find(({ primitives: { name } }) => name === wanted);
  const measured = available
    .map(({ primitives: { name }, microseconds }) => `${name} ${microseconds.toFixed(1)}`)
    .join(', ');
  if (chosen === undefined)
    throw usage(
      `--crypto ${wanted}: not on this machine, which has (microseconds to seal and open 1000 ` +
        `bytes) ${measured}`,
    );
  log.debug(
    { chosen: chosen.primitives.name, measured },
    'cryptography; microseconds to seal and open 1000 bytes',
  );
  return chosen.primitives;
}
