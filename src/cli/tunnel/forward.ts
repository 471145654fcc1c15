/**
 * `spines forward`: a local TCP port whose connections come out at another node, at one target.
 *
 * Owns the arguments; the listener is tunnel-listen.ts's, the way to the far end tunnel-dial.ts's.
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
import { EXPOSE_PORT, dialTarget, type TunnelFlags } from './tunnel-dial.ts';
import { serve } from './tunnel-listen.ts';
import { formatTarget } from '../../host/tunnel-target.ts';
import { listenArg, portArg, targetArg } from '../terminal/values.ts';

export function registerForward(program: Command): void {
  addClientFlags(
    program
      .command('forward <[bind:]port> <node> <host:port>')
      .description('carry a local TCP port to a target that a node exposes'),
  )
    .option('--via <port>', 'overlay port of `spines expose` there', portArg, EXPOSE_PORT)
    .addOption(routingOption())
    .addOption(secrecyOption())
    .addOption(silenceOption())
    .option('-v, --verbose', 'log every connection, on stderr')
    .addHelpText(
      'after',
      helpBelow(
        'Listens on 127.0.0.1 unless BIND is given: whoever reaches it may use it. The far end ' +
          'must run `spines expose --allow HOST:PORT`.',
      ),
    )
    .action((listenText: string, node: string, targetText: string, flags: TunnelFlags) => {
      const listen = listenArg(listenText);
      const target = targetArg(targetText);
      const offers = `${formatTarget(target)} at ${node}`;
      return withClient(
        flags,
        'forward',
        (client) =>
          serve(
            client,
            listen,
            flags.verbose === true,
            { goes: `carried to ${offers}`, offers },
            async (_socket, signal) => {
              const { socket, headBytes } = await dialTarget(client, node, flags, target, signal);
              return { socket, headBytes, target, ownBytes: 0 };
            },
          ),
        true,
      );
    });
}
