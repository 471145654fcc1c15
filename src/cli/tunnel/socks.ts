/**
 * `spines socks`: a local SOCKS5 proxy whose connections, and UDP associations, leave at another
 * node.
 *
 * Owns the arguments and which SOCKS reply a failure is. Names are looked up at the exit, which
 * also decides what may be reached. The conversation is socks5.ts's. Invariant: an association ends
 * with its TCP connection (RFC 1928, section 6).
 */

import type { Socket } from 'node:net';
import type { Command } from 'commander';
import type { SpinesClient } from 'spines-client';

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
import { addNearUdpFlags, checkUdpFlags, makeNear, udpLog, type UdpFlags } from './udp-tunnel.ts';
import { formatTarget, type Target } from '../../host/tunnel-target.ts';
import { UdpAssociation } from '../../host/tunnel/udp-associations.ts';
import type { UdpNear } from '../../host/tunnel/udp-near.ts';
import type { TunnelLog } from '../../host/tunnel/udp-overlay.ts';
import { listenArg, portArg } from '../terminal/values.ts';

const REQUEST_TIMEOUT_MS = 10_000;
/** For a connection that is one too many to say what it wants. */
const REFUSAL_TIMEOUT_MS = 2_000;

/** An association whose client has gone without a word ends by TCP's own probes. */
const KEEPALIVE_MS = 60_000;

interface SocksFlags extends TunnelFlags, UdpFlags {
  exit: string;
}

const HELP = `
Listens on 127.0.0.1 unless BIND is given: whoever reaches it may use it. The exit must \
run \`spines expose --allow ...\`, and \`--udp ...\` for UDP ASSOCIATE.`;

export function registerSocks(program: Command): void {
  const command = addClientFlags(
    program
      .command('socks <[bind:]port>')
      .description(
        'run a local SOCKS5 proxy, of TCP and UDP, whose traffic leaves at another node',
      ),
  )
    .requiredOption('--exit <node>', 'node where connections leave')
    .option('--via <port>', 'overlay port of `spines expose` there', portArg, EXPOSE_PORT)
    .addOption(routingOption())
    .addOption(secrecyOption())
    .addOption(silenceOption());
  addNearUdpFlags(command)
    .option('-v, --verbose', 'log every connection and flow, on stderr')
    .addHelpText('after', helpBelow(HELP))
    .action((listenText: string, flags: SocksFlags) => {
      const listen = listenArg(listenText);
      checkUdpFlags(flags);
      return withClient(flags, 'socks', (client) => runProxy(client, listen, flags), true);
    });
}

async function runProxy(client: SpinesClient, listen: Target, flags: SocksFlags): Promise<void> {
  const log = await udpLog(flags.verbose === true);
  const near = await makeNear(client, flags.exit, flags, true, log);
  try {
    await serve(
      client,
      listen,
      flags.verbose === true,
      { goes: `SOCKS5, leaving at ${flags.exit}`, offers: 'this proxy' },
      async (socket, signal) => {
        const request = await readSocksRequest(socket, REQUEST_TIMEOUT_MS);
        if (request.command === 'associate') {
          await associate(socket, near, request.port, log);
          return null;
        }
        const { target, bytes } = request;
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
    );
  } finally {
    near.close();
    log.info(near.counts, 'UDP carried');
  }
}

/** Resolves when the association is over. */
async function associate(
  socket: Socket,
  near: UdpNear,
  port: number,
  log: TunnelLog,
): Promise<void> {
  const local = plainIp(socket.localAddress),
    remote = plainIp(socket.remoteAddress);
  let association: UdpAssociation;
  try {
    association = await UdpAssociation.open(near, local, remote, port);
  } catch (error) {
    endSocks(socket, 'failure');
    throw error;
  }
  try {
    const closed = new Promise<void>((resolve) => {
      if (socket.destroyed || socket.readableEnded) resolve();
      else socket.once('close', resolve).once('end', resolve);
    });
    writeSocksReply(socket, 'ok', { host: local, port: association.port });
    socket.setKeepAlive(true, KEEPALIVE_MS).resume();
    await closed;
  } finally {
    association.close();
    const { fragments, malformed, strangers } = association.counts;
    if (fragments + malformed + strangers > 0)
      log.refused({
        from: formatTarget({ host: remote, port: socket.remotePort ?? 0 }),
        why: 'datagrams of an association were fragments, malformed or of another address or port',
        fragments,
        malformed,
        strangers,
      });
    socket.end();
  }
}

/** IPv4 as such where a socket of both families has it. */
function plainIp(address = ''): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
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
