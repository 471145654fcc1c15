/**
 * `spines forward`: a local TCP port whose connections come out at another node, at one target; or
 * a local UDP port.
 *
 * Owns the arguments; the listener is tunnel-listen.ts's, the way to the far end tunnel-dial.ts's,
 * and UDP udp-tunnel.ts's.
 */

import type { Command } from 'commander';
import type { SpinesClient } from 'spines-client';

import {
  addClientFlags,
  routingOption,
  secrecyOption,
  silenceOption,
  withClient,
} from '../client.ts';
import { usage } from '../terminal/failure.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { EXPOSE_PORT, dialTarget, type TunnelFlags } from './tunnel-dial.ts';
import { serve } from './tunnel-listen.ts';
import {
  addNearUdpFlags,
  checkUdpFlags,
  forwardUdp,
  refuseUdpFlags,
  type UdpFlags,
} from './udp-tunnel.ts';
import { formatTarget, type Target } from '../../host/tunnel-target.ts';
import { listenArg, portArg, targetArg } from '../terminal/values.ts';

interface ForwardFlags extends TunnelFlags, UdpFlags {
  udp?: boolean;
}

const HELP = `
Listens on 127.0.0.1 unless BIND is given: whoever reaches it may use it. The far end \
must run \`spines expose --allow HOST:PORT\`, or \`--udp HOST:PORT\` with --udp.

With --udp each client address and port is a flow of its own, with the far end's answers; what the \
overlay loses is lost, unless --link reliable recovers it, and datagrams above 1,355 bytes travel \
in more than one packet.

  spines forward 8080 node-2 127.0.0.1:80
  spines forward --udp 5353 node-2 127.0.0.1:53 --link reliable`;

export function registerForward(program: Command): void {
  const command = addClientFlags(
    program
      .command('forward <[bind:]port> <node> <host:port>')
      .description('carry a local TCP port, or UDP with --udp, to a target that a node exposes'),
  )
    .option('-u, --udp', 'UDP instead of TCP')
    .option('--via <port>', 'overlay port of `spines expose` there', portArg, EXPOSE_PORT)
    .addOption(routingOption())
    .addOption(secrecyOption())
    .addOption(silenceOption());
  addNearUdpFlags(command)
    .option('-v, --verbose', 'log every connection or flow, on stderr')
    .addHelpText('after', helpBelow(HELP))
    .action((listenText: string, node: string, targetText: string, flags: ForwardFlags) => {
      const listen = listenArg(listenText);
      const target = targetArg(targetText);
      if (flags.udp === true) {
        if (flags.silence !== undefined)
          throw usage('--silence is of streams; with --udp, --idle ends flows');
        checkUdpFlags(flags);
      } else refuseUdpFlags(flags);
      return withClient(
        flags,
        'forward',
        (client) =>
          flags.udp === true
            ? forwardUdp(client, listen, node, target, flags)
            : forwardTcp(client, listen, node, target, flags),
        true,
      );
    });
}

function forwardTcp(
  client: SpinesClient,
  listen: Target,
  node: string,
  target: Target,
  flags: TunnelFlags,
): Promise<void> {
  const offers = `${formatTarget(target)} at ${node}`;
  return serve(
    client,
    listen,
    flags.verbose === true,
    { goes: `carried to ${offers}`, offers },
    async (_socket, signal) => {
      const { socket, headBytes } = await dialTarget(client, node, flags, target, signal);
      return { socket, headBytes, target, ownBytes: 0 };
    },
  );
}
