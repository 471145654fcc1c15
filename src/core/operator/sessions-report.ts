/**
 * What operators see of the sockets of connected clients: a row for each datagram socket, listener
 * and stream; and what a program sees of one of its own.
 *
 * Reads only.
 */

import { SpinesError } from '../base/errors.ts';
import { formatNodeId, type NodeId } from '../base/ids.ts';
import { integer, type Arguments } from '../ipc/arguments.ts';
import type { ConnectedClient } from '../ipc/client.ts';
import type { ClientPort } from '../ipc/client-port.ts';
import type { StreamSocket } from '../ipc/client-streams.ts';
import { wayTo } from '../routing/shortest-path.ts';
import type { DatagramSession } from '../session/sessions.ts';
import { disseminationName, serviceName } from '../wire/modes.ts';
import { DISSEMINATION_BYZANTINE } from '../wire/packet.ts';
import type { PathNode, SessionRow, SessionsReply, SocketInfoReply } from 'spines-client/protocol';
import { ms, type Operator } from './operation.ts';

/** A row for each socket of each client; a stream that is not connected has none. */
export function sessionsReport(operator: Operator): SessionsReply {
  const sessions: SessionRow[] = [];
  for (const client of operator.clients) {
    for (const session of client.datagrams.sockets()) sessions.push(datagramRow(client, session));
    for (const socket of client.streams.sockets())
      if (socket.stream !== null || socket.listening)
        sessions.push(streamRow(operator, client, socket));
  }
  return { schema: 1, sessions };
}

/** Of one socket of `asker`. Throws SpinesError EBADF. */
export function socketInfo(
  operator: Operator,
  args: Arguments,
  asker: ConnectedClient | null,
): SocketInfoReply {
  const number = integer(args, 'socket', 1, 0xffff_ffff);
  const client = [...operator.clients].find((one) => one === asker);
  const socket = client?.streams.of(number);
  if (client !== undefined && socket !== undefined)
    return {
      schema: 1,
      ...streamRow(operator, client, socket),
      path: socket.stream === null ? null : pathOf(operator, socket),
    };
  if (client === undefined || !client.datagrams.has(number))
    throw new SpinesError('EBADF', `there is no socket ${number} on this connection`);
  return { schema: 1, ...datagramRow(client, client.datagrams.of(number)), path: null };
}

/** The way that the stream's packets take. */
function pathOf({ node }: Operator, { stream, options }: StreamSocket): PathNode[] | null {
  const to = stream!.node;
  let way: readonly NodeId[] | null = null;
  if (options.dissemination !== DISSEMINATION_BYZANTINE)
    way = to === node.config.id ? [to] : wayTo(node.router.paths, to);
  else
    for (const flow of node.byzantine?.flows() ?? [])
      if (flow.destination === to && flow.service === options.service && flow.main !== null)
        way = flow.main.path.nodes;
  return way?.map((at) => ({ node: formatNodeId(at), name: node.router.nameOf(at) })) ?? null;
}

const NO_STREAM = {
  rttMs: null,
  windowBytes: null,
  inFlightBytes: null,
  queuedBytes: null,
  resentBytes: null,
  ecnMarks: null,
  limitedBy: null,
} as const;
const NOBODY = { remoteNode: null, remoteName: null, remotePort: null } as const;

function datagramRow(client: ClientPort, session: DatagramSession): SessionRow {
  return {
    kind: 'datagram',
    state: client.datagrams.isBlocked(session) ? 'blocked' : '',
    client: client.name,
    certificate: client.access.certificate,
    port: session.port,
    ...NOBODY,
    link: serviceName(session.service),
    routing: disseminationName(session.dissemination),
    sent: session.sent,
    received: session.received,
    ...NO_STREAM,
  };
}

function streamRow(
  { node: { router } }: Operator,
  client: ClientPort,
  { stream, listening, port, options }: StreamSocket,
): SessionRow {
  const common = {
    client: client.name,
    certificate: client.access.certificate,
    port,
    link: serviceName((stream ?? { options }).options.service),
    routing: disseminationName((stream ?? { options }).options.dissemination),
  };
  if (stream === null)
    return {
      ...common,
      kind: listening ? 'listener' : 'stream',
      state: '',
      ...NOBODY,
      sent: 0,
      received: 0,
      ...NO_STREAM,
    };
  const { sender, receiver } = stream;
  return {
    ...common,
    kind: 'stream',
    state: stream.state === 'open' ? 'established' : stream.state,
    remoteNode: formatNodeId(stream.node),
    remoteName: router.nameOf(stream.node),
    remotePort: stream.port,
    sent: sender.unacknowledged,
    received: receiver.received,
    rttMs: sender.rtt.samples === 0 ? null : ms(sender.rtt.smoothedUs),
    windowBytes: Math.round(sender.controller.window),
    inFlightBytes: sender.inFlight,
    queuedBytes: sender.unsent,
    resentBytes: sender.resent,
    ecnMarks: sender.marks,
    limitedBy: stream.limitedBy,
  };
}
