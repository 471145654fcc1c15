/**
 * `spines bridge GROUP ADDRESS:PORT`: what UDP programs of a local network send to an IP multicast
 * group appears on a group of the overlay, and the reverse.
 *
 * Owns the sockets of both sides and what passes from one to the other: nothing waits here, what
 * finds no room is dropped and counted. No loops: what bridges send on a local network comes from
 * ports of their own, and none takes what comes from these, however many there are; what this one
 * sends to the overlay it does not take back.
 */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { Option, type Command } from 'commander';
import type { LinkServiceName, SpinesClient, SpinesDatagram } from 'spines-client';

import { isGroupId, parseNodeId } from '../../core/base/ids.ts';
import { SERVICE_NAMES } from '../../core/wire/modes.ts';
import { addClientFlags, withClient, type ClientFlags } from '../client.ts';
import { EXIT_USAGE, Failure, systemAdvice, usage } from '../terminal/failure.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { notesNeverWait } from '../terminal/log.ts';
import { note } from '../terminal/output.ts';
import { integerArg, portArg, targetArg } from '../terminal/values.ts';
import type { Target } from '../../host/tunnel-target.ts';
import { untilEnded } from './tunnel-listen.ts';

/** Source ports of bridges on local networks: below those that systems choose by themselves. */
export const BRIDGE_PORT_FIRST = 27_990,
  BRIDGE_PORTS = 8;
/** What UDP over IPv4 carries. */
const UDP_BYTES_MAX = 65_507;
/** That programs send before this one looks, as tunnels have it. */
const BUFFER_BYTES = 4 * 1024 * 1024;
/** Sends under way to the local network. */
const SENDS_MAX = 256;

const HELP = `
The overlay group has the same port, or that of --port. On the local network the bridge
sends from a port of ${BRIDGE_PORT_FIRST} to ${BRIDGE_PORT_FIRST + BRIDGE_PORTS - 1}; no bridge \
takes what comes from these, so bridges make no loops.
One for a group and local network is enough: two carry everything twice.`;

interface BridgeFlags extends ClientFlags {
  port?: number;
  interface?: string;
  ttl: number;
  link: LinkServiceName;
  verbose?: boolean;
}

export function registerBridge(program: Command): void {
  addClientFlags(
    program
      .command('bridge <group> <address:port>')
      .description('join a group of the overlay and an IP multicast group of the local network'),
  )
    .option('--port <port>', 'of the overlay group (default: that of the address)', portArg)
    .option(
      '--interface <address>',
      'address of this machine on the local network (default: as the system routes)',
    )
    .option('--ttl <hops>', 'of what is sent there, 1 stays on it', integerArg(1, 255), 1)
    .addOption(
      new Option('--link <service>', 'recovery on every hop of the overlay')
        .choices(SERVICE_NAMES)
        .default('best-effort'),
    )
    .option('-v, --verbose', 'counts at the end, on stderr')
    .addHelpText('after', helpBelow(HELP))
    .action((name: string, address: string, flags: BridgeFlags) => {
      const group = groupArg(name, 'the group of the overlay');
      const local = targetArg(address);
      groupArg(local.host, 'the address of the local network');
      return withClient(flags, 'bridge', (client) => {
        notesNeverWait();
        return bridge(client, group, local, flags);
      });
    });
}

function groupArg(text: string, what: string): string {
  const id = parseNodeId(text);
  if (id === null || !isGroupId(id))
    throw usage(
      `${what} is ${text}, which is no multicast group; give an address from 224.0.0.0 to ` +
        '239.255.255.255, for example 239.1.2.3',
    );
  return text;
}

async function bridge(
  client: SpinesClient,
  group: string,
  local: Target,
  flags: BridgeFlags,
): Promise<void> {
  const port = flags.port ?? local.port;
  const modes = { link: flags.link, secrecy: 'links' } as const;
  const overlay = client.datagram({ ...modes, reuseAddr: true });
  // With a port of its own: other bridges of this daemon hear it, and this one knows it.
  const toOverlay = client.datagram(modes);
  // What the system drops for want of room nobody counts.
  const listens = createSocket({ type: 'udp4', reuseAddr: true, recvBufferSize: BUFFER_BYTES });
  const sends = createSocket({ type: 'udp4' });
  const counts = { in: 0, out: 0, dropped: 0 };
  const ended = untilEnded(client);
  ended.catch(() => {});
  const broken = new Promise<never>((_, reject) => {
    for (const socket of [overlay, toOverlay]) socket.on('error', reject);
    client.on('disconnect', reject);
    for (const socket of [listens, sends])
      socket.on('error', ({ code = 'EIO' }: NodeJS.ErrnoException) =>
        reject(localFailure(local, code)),
      );
  });
  broken.catch(() => {});
  try {
    await Promise.race([broken, openLocal(listens, sends, local, flags)]);
    await Promise.race([broken, new Promise<void>((resolve) => overlay.bind(port, resolve))]);
    await Promise.race([broken, new Promise<void>((resolve) => toOverlay.bind(0, resolve))]);
    overlay.addMembership(group);
    // The daemon answers in order: then it has joined, or has said why not.
    await Promise.race([broken, client.members(group)]);
    carryIn(listens, toOverlay, group, port, counts);
    carryOut(overlay, sends, local, { node: client.node, port: toOverlay.address().port }, counts);
    note(`${group}:${port} of the overlay and ${local.host}:${local.port} are one`);
    await Promise.race([broken, ended]);
  } finally {
    listens.close();
    sends.close();
    if (flags.verbose === true)
      note(`${counts.in} to the overlay, ${counts.out} from it, ${counts.dropped} dropped`);
  }
}

/** What comes from the local network. */
function carryIn(
  from: Socket,
  to: SpinesDatagram,
  group: string,
  port: number,
  counts: { in: number; dropped: number },
): void {
  let full = false;
  to.on('drain', () => {
    full = false;
  });
  to.on('sendError', ({ count }) => {
    counts.dropped += count;
  });
  from.on('message', (message, remote) => {
    if (isOfBridge(remote)) return;
    if (full) {
      counts.dropped += 1;
      return;
    }
    counts.in += 1;
    full = !to.send(message, port, group);
  });
}

/** What comes from the overlay, but for what this bridge has sent there. */
function carryOut(
  from: SpinesDatagram,
  to: Socket,
  { host, port }: Target,
  own: { node: string; port: number },
  counts: { out: number; dropped: number },
): void {
  let underWay = 0;
  from.on('message', (message, remote) => {
    const isOwn = remote.address === own.node && remote.port === own.port;
    if (remote.group === undefined || isOwn) return;
    if (underWay >= SENDS_MAX || message.length > UDP_BYTES_MAX) {
      counts.dropped += 1;
      return;
    }
    underWay += 1;
    to.send(message, port, host, (error) => {
      underWay -= 1;
      if (error === null) counts.out += 1;
      else counts.dropped += 1;
    });
  });
}

function isOfBridge({ port }: RemoteInfo): boolean {
  return port >= BRIDGE_PORT_FIRST && port < BRIDGE_PORT_FIRST + BRIDGE_PORTS;
}

async function openLocal(
  listens: Socket,
  sends: Socket,
  local: Target,
  flags: BridgeFlags,
): Promise<void> {
  // At the group's address: what goes to others at this port is not for us.
  await new Promise<void>((resolve) => listens.bind(local.port, local.host, resolve));
  await bindBridgePort(sends);
  try {
    listens.addMembership(local.host, flags.interface);
    if (flags.interface !== undefined) sends.setMulticastInterface(flags.interface);
    sends.setMulticastTTL(flags.ttl);
    // Programs on this machine hear it, too.
    sends.setMulticastLoopback(true);
  } catch (error) {
    throw localFailure(local, (error as NodeJS.ErrnoException).code ?? 'EIO');
  }
}

/** Throws Failure EADDRINUSE: all are taken. */
async function bindBridgePort(socket: Socket): Promise<void> {
  for (let tries = 0; tries < BRIDGE_PORTS; tries += 1) {
    const others = socket.listeners('error') as ((error: Error) => void)[];
    socket.removeAllListeners('error');
    const bound = await new Promise<boolean>((resolve) => {
      socket.once('error', () => resolve(false));
      socket.bind(BRIDGE_PORT_FIRST + tries, () => resolve(true));
    });
    socket.removeAllListeners('error');
    for (const other of others) socket.on('error', other);
    if (bound) return;
  }
  throw new Failure(
    EXIT_USAGE,
    'EADDRINUSE',
    `all ports of bridges are taken, ${BRIDGE_PORT_FIRST} to ` +
      `${BRIDGE_PORT_FIRST + BRIDGE_PORTS - 1}; end a bridge of this machine, or the program there`,
  );
}

function localFailure({ host, port }: Target, code: string): Failure {
  return new Failure(
    EXIT_USAGE,
    code,
    `cannot use ${host}:${port} of the local network (${code}); ${systemAdvice(code, 'listen')}, ` +
      'or give --interface with an address of this machine',
  );
}
