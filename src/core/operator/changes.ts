/**
 * What operators may change: emulated links, the laboratory's misbehaviour, the config as it is
 * read again, and whether the daemon runs.
 *
 * Owns the checks that the configuration allows it. Each is recorded (audit.ts).
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId } from '../base/ids.ts';
import { text, type Arguments } from '../ipc/arguments.ts';
import type { LinkSettings, OperationAnswer } from 'spines-client/protocol';
import { targetOf } from './nodes-report.ts';
import type { Answering, Operator } from './operation.ts';

/** Changes the emulated link to a neighbour; answers with all its settings. */
export function linkSet(operator: Operator, args: Arguments): OperationAnswer<'linkSet'> {
  const { config, links } = operator.node;
  if (!config.allowEmulation || operator.env.emulation === null) {
    throw new SpinesError(
      'EPERM',
      'this daemon does not allow emulation; start it with --allow-emulation, or set ' +
        'emulation.allow in its config',
    );
  }
  const peer = targetOf(operator, args, 'peer');
  const link = links.of(peer);
  if (link === undefined)
    throw new SpinesError(
      'ENOENT',
      `there is no link to ${formatNodeId(peer)}; \`spines links\` lists the links`,
    );
  const change = args['settings'];
  if (typeof change !== 'object' || change === null || Array.isArray(change))
    throw new SpinesError('EINVAL', 'settings must be a map');
  for (const [name, value] of Object.entries(change)) {
    // Anything else (a map, a bigint) could throw in arithmetic.
    if (value == null || typeof value === 'number' || typeof value === 'boolean') continue;
    throw new SpinesError(
      'EINVAL',
      `settings.${name.slice(0, 40)} must be a number or a truth value`,
    );
  }
  const result = operator.env.emulation.set(link.endpoint, change as LinkSettings);
  if (result === null)
    throw new SpinesError(
      'ENOENT',
      `the link to ${formatNodeId(peer)} can't be emulated now; try again when it is up`,
    );
  return { settings: result };
}

/** Sets what is logged from now on, until the next reload; without `level`, says it. */
export function logLevel(operator: Operator, args: Arguments): OperationAnswer<'logLevel'> {
  if (operator.env.logLevel === undefined)
    throw new SpinesError('ENOTSUP', 'this daemon has no log of its own');
  return { level: operator.env.logLevel(args['level'] == null ? null : text(args, 'level')) };
}

/** Has the host read the config again, and answers with what changed. */
export function reload(operator: Operator, _args: Arguments, reply: Answering<'reload'>): void {
  const { onReloadRequested } = operator.env;
  if (onReloadRequested === undefined)
    throw new SpinesError(
      'ENOTSUP',
      'this daemon has no config to read again; start it with `spines daemon`',
    );
  onReloadRequested((result) =>
    reply(result instanceof SpinesError ? result : { schema: 1, changes: [...result.changes] }),
  );
}

/** Has the host stop the daemon in an orderly way, after the answer. */
export function shutdown(operator: Operator, _args: Arguments, reply: Answering<'shutdown'>): void {
  if (!operator.node.config.allowShutdown)
    throw new SpinesError(
      'EPERM',
      'this daemon does not let clients stop it; send it SIGTERM, or set allowShutdown',
    );
  reply({});
  operator.env.onShutdownRequested();
}
