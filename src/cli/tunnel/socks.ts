/**
 * `spines socks`: a local SOCKS5 proxy whose connections leave at another node.
 *
 * Owns the arguments and which SOCKS reply a failure is. Names are looked up at the exit, which
 * also decides what may be reached. The conversation is socks5.ts's.
 */

import type { Command } from 'commander';

import {
  addClientFlags,
  routingOption,
  secrecyOption,
  silenceOption,
  withClient,
} from '../client.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { endSocks, readSocksRequest, writeSocksReply, type ReplyName } from './socks5.ts';
import { EXPOSE_PORT, TunnelError, dialTarget, type TunnelFlags } from './tunnel-dial.ts';
import { serve } from './tunnel-listen.ts';
import { listenArg, portArg } from '../terminal/values.ts';

const REQUEST_TIMEOUT_MS = 10_000;
/** For a connection that is one too many to say what it wants. */
const REFUSAL_TIMEOUT_MS = 2_000;

export function registerSocks(program: Command): void {
  addClientFlags(
    program
      .command('socks <[bind:]port>')
      .description('run a local SOCKS5 proxy whose connections leave at another node'),
  )
    .requiredOption('--exit <node>', 'node where connections leave')
    .option('--via <port>', 'overlay port of `spines expose` there', portArg, EXPOSE_PORT)
    .addOption(routingOption())
    .addOption(secrecyOption())
    .addOption(silenceOption())
    .option('-v, --verbose', 'log every connection, on stderr')
    .addHelpText(
      'after',
      helpBelow(
        'Listens on 127.0.0.1 unless BIND is given: whoever reaches it may use it. The exit must ' +
          'run `spines expose --allow ...`.',
      ),
    )
    .action((listenText: string, flags: TunnelFlags & { exit: string }) => {
      const listen = listenArg(listenText);
      return withClient(
        flags,
        'socks',
        (client) =>
          serve(
            client,
            listen,
            flags.verbose === true,
            { goes: `SOCKS5, leaving at ${flags.exit}`, offers: 'this proxy' },
            async (socket, signal) => {
              const { target, bytes } = await readSocksRequest(socket, REQUEST_TIMEOUT_MS);
              try {
                const dialled = await dialTarget(client, flags.exit, flags, target, signal);
                writeSocksReply(socket, 'ok');
                return { ...dialled, target, ownBytes: bytes };
              } catch (error) {
                endSocks(socket, error instanceof TunnelError ? replyOf(error) : 'failure');
                throw error;
              }
            },
            async (socket) => {
              await readSocksRequest(socket, REFUSAL_TIMEOUT_MS);
              endSocks(socket, 'failure');
            },
          ),
        true,
      );
    });
}

/** What a SOCKS client is told. */
export function replyOf({ answer, code }: Pick<TunnelError, 'answer' | 'code'>): ReplyName {
  switch (answer) {
    case 'ok':
      return 'ok';
    case 'not allowed':
      return 'notAllowed';
    case 'refused':
      return 'refused';
    case 'network unreachable':
      return 'networkUnreachable';
    case 'host unreachable':
    case 'unknown host':
      return 'hostUnreachable';
    case 'timed out':
      return 'timedOut';
    case 'no exit':
      return code === 'EHOSTUNREACH' || code === 'ETIMEDOUT' || code === 'ENOTFOUND'
        ? 'networkUnreachable'
        : 'failure';
    case 'malformed':
    case 'busy':
    case 'failed':
      return 'failure';
  }
}
