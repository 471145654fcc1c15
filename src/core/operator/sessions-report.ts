/**
 * What operators see of the sockets of connected clients: a row for each datagram socket, listener
 * and stream.
 *
 * Reads only.
 */

import { formatNodeId } from '../base/ids.ts';
import { disseminationName, serviceName } from '../wire/modes.ts';
import type { SessionRow, SessionsReply } from 'spines-client/protocol';
import { ms, type Operator } from './operation.ts';

/** A row for each socket of each client. */
export function sessionsReport(operator: Operator): SessionsReply {
  const sessions: SessionRow[] = [];
  const { router } = operator.node;
  const none = {
    rttMs: null,
    windowBytes: null,
    inFlightBytes: null,
    queuedBytes: null,
    resentBytes: null,
    ecnMarks: null,
    limitedBy: null,
  };
  for (const client of operator.clients) {
    const { certificate } = client.access;
    for (const session of client.datagrams.sockets()) {
      sessions.push({
        kind: 'datagram',
        state: client.datagrams.isBlocked(session) ? 'blocked' : '',
        client: client.name,
        certificate,
        port: session.port,
        remoteNode: null,
        remoteName: null,
        remotePort: null,
        link: serviceName(session.service),
        routing: disseminationName(session.dissemination),
        sent: session.sent,
        received: session.received,
        ...none,
      });
    }
    for (const { stream, listening, port, options } of client.streams.sockets()) {
      if (stream === null) {
        if (!listening) continue;
        sessions.push({
          kind: 'listener',
          state: '',
          client: client.name,
          certificate,
          port,
          remoteNode: null,
          remoteName: null,
          remotePort: null,
          link: serviceName(options.service),
          routing: disseminationName(options.dissemination),
          sent: 0,
          received: 0,
          ...none,
        });
        continue;
      }
      const { sender, receiver } = stream;
      sessions.push({
        kind: 'stream',
        state: stream.state === 'open' ? 'established' : stream.state,
        client: client.name,
        certificate,
        port,
        remoteNode: formatNodeId(stream.node),
        remoteName: router.nameOf(stream.node),
        remotePort: stream.port,
        link: serviceName(stream.options.service),
        routing: disseminationName(stream.options.dissemination),
        sent: sender.unacknowledged,
        received: receiver.received,
        rttMs: sender.rtt.samples === 0 ? null : ms(sender.rtt.smoothedUs),
        windowBytes: Math.round(sender.controller.window),
        inFlightBytes: sender.inFlight,
        queuedBytes: sender.unsent,
        resentBytes: sender.resent,
        ecnMarks: sender.marks,
        limitedBy: stream.limitedBy,
      });
    }
  }
  return { schema: 1, sessions };
}
