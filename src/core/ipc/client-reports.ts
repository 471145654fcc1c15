/**
 * What a client is told of datagrams that were not sent, were lost on the way, or were not taken by
 * it: at once where it is the first, then a few times a second with their number.
 *
 * Bounded by the sockets of the client: one entry for each, and none is written while it reads
 * nothing. Owns the texts of these errors.
 */

import { formatNodeId, type NodeId } from '../base/ids.ts';
import { MILLISECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { DropReason, dropReasonName } from '../wire/drop.ts';
import { encodeControl, FRAME_EVENT } from 'spines-client/protocol';
import type { ClientOut } from './client.ts';

const REPORT_INTERVAL: Micros = 250 * MILLISECOND;

interface SendErrors {
  reason: DropReason;
  destination: NodeId;
  onTheWay: boolean;
  count: number;
}

export class ClientReports {
  readonly #out: ClientOut;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #queueBytes: () => number;
  readonly #timer = new Timer(() => this.#report());
  readonly #recvDropped = new Map<number, number>();
  /** Of these, those that came later than their deadline. */
  readonly #recvLate = new Map<number, number>();
  readonly #sendErrors = new Map<number, SendErrors>();
  #closed = false;

  /** `queueBytes`: how much a client may leave unread. */
  constructor(out: ClientOut, clock: Clock, timers: Timers, queueBytes: () => number) {
    this.#out = out;
    this.#clock = clock;
    this.#timers = timers;
    this.#queueBytes = queueBytes;
  }

  /** A datagram for socket `number` found its client's queue full. */
  recvDropped(number: number): void {
    this.#recvDropped.set(number, (this.#recvDropped.get(number) ?? 0) + 1);
    this.#armReport();
  }

  /** A datagram for socket `number` came later than its deadline. */
  recvLate(number: number): void {
    this.#recvLate.set(number, (this.#recvLate.get(number) ?? 0) + 1);
    this.recvDropped(number);
  }

  /** Socket `number` is closed. */
  forget(number: number): void {
    this.#recvDropped.delete(number);
    this.#recvLate.delete(number);
    this.#sendErrors.delete(number);
  }

  close(): void {
    this.#closed = true;
    this.#timers.cancel(this.#timer);
  }

  /**
   * The first refusal of a socket is reported at once, further ones together a few times a second.
   */
  sendError(
    number: number,
    reason: DropReason,
    destination: NodeId,
    count = 1,
    onTheWay = false,
  ): void {
    const noted = this.#sendErrors.get(number);
    if (noted === undefined) {
      const told = this.#readsEvents;
      this.#sendErrors.set(number, { reason, destination, onTheWay, count: told ? 0 : count });
      if (told) this.#sendErrorEvent(number, reason, destination, onTheWay, count);
    } else {
      noted.reason = reason;
      noted.destination = destination;
      noted.onTheWay = onTheWay;
      noted.count += count;
    }
    this.#armReport();
  }

  #sendErrorEvent(
    socket: number,
    reason: DropReason,
    destination: NodeId,
    onTheWay: boolean,
    count: number,
  ): void {
    const { code, message } = onTheWay
      ? describeLoss(reason, destination)
      : describe(reason, destination);
    this.#out.write(
      encodeControl(FRAME_EVENT, { event: 'sendError', socket, code, message, count }),
    );
  }

  #armReport(): void {
    if (!this.#timer.armed && !this.#closed)
      this.#timers.arm(this.#timer, this.#clock.now() + REPORT_INTERVAL);
  }

  /**
   * False while so much is unread that reports wait: a client that never reads must not make us
   * hold ever more of them.
   */
  get #readsEvents(): boolean {
    return this.#out.bufferedBytes < this.#queueBytes() / 2;
  }

  #report(): void {
    if (!this.#readsEvents) {
      this.#armReport();
      return;
    }
    for (const [number, errors] of this.#sendErrors) {
      if (errors.count === 0) {
        this.#sendErrors.delete(number);
        continue;
      }
      this.#sendErrorEvent(
        number,
        errors.reason,
        errors.destination,
        errors.onTheWay,
        errors.count,
      );
      errors.count = 0;
    }
    for (const [socket, count] of this.#recvDropped) {
      const late = this.#recvLate.get(socket) ?? 0;
      this.#out.write(
        encodeControl(FRAME_EVENT, {
          event: 'recvDropped',
          socket,
          count,
          ...(late > 0 ? { late } : {}),
        }),
      );
    }
    this.#recvDropped.clear();
    this.#recvLate.clear();
    if (this.#sendErrors.size > 0 || this.#recvDropped.size > 0) this.#armReport();
  }
}

/** Of what was sent, and lost on the way. */
function describeLoss(reason: DropReason, destination: NodeId): { code: string; message: string } {
  const node = formatNodeId(destination);
  if (reason === DropReason.waitedTooLong) {
    return {
      code: 'EHOSTUNREACH',
      message:
        `lost on the way to ${node}: no route went on for 3 s; send it again if it ` +
        `matters, \`spines routes\` shows what is reachable`,
    };
  }
  if (reason === DropReason.portClosed) {
    return {
      code: 'ECONNREFUSED',
      message:
        `arrived at ${node}, where no program listens at that port; see that it is started, and ` +
        'send it again if it matters',
    };
  }
  if (reason === DropReason.endToEndKeyGone) {
    return {
      code: 'ECONNRESET',
      message:
        `lost at ${node}: its daemon began anew before it arrived; send it again if it ` +
        'matters',
    };
  }
  if (reason === DropReason.endToEndMissing) {
    return {
      code: 'EACCES',
      message:
        `arrived at ${node}, where the program takes only what proves who sent it; open the ` +
        "socket with secrecy 'end-to-end', or the routing of that program, and send it again",
    };
  }
  if (reason === DropReason.probedLost) {
    const next =
      `send it again if it matters, \`spines trace ${node} --routing byzantine\` ` +
      'shows the path';
    return {
      code: 'EHOSTUNREACH',
      message:
        `perhaps lost on the way to ${node}: no path was found in time, or none brought ` +
        `an answer; ${next}`,
    };
  }
  return {
    code: 'ENOBUFS',
    message:
      `lost on the way to ${node}: a queue there was full before this node heard of it; ` +
      `wait for 'drain' when send returns false`,
  };
}

function describe(reason: DropReason, destination: NodeId): { code: string; message: string } {
  const node = formatNodeId(destination);
  switch (reason) {
    case DropReason.noRoute:
    case DropReason.linkDown:
      return {
        code: 'EHOSTUNREACH',
        message: `no route to ${node}; \`spines routes\` shows what is reachable`,
      };
    case DropReason.linkQueueFull:
    case DropReason.loopbackFull:
      return {
        code: 'ENOBUFS',
        message: `the queue towards ${node} is full; wait for 'drain' when send returns false`,
      };
    case DropReason.clientOverRate:
      return {
        code: 'ENOBUFS',
        message:
          'this client is over its rate (limits.clientBytesPerSecond, ' +
          "limits.clientPacketsPerSecond); wait for 'drain' when send returns false",
      };
    case DropReason.firewallClient:
      return {
        code: 'EACCES',
        message:
          `rules of this daemon do not let this client send there (${node}); ask its ` +
          'operator (firewall.clients in its config)',
      };
    case DropReason.groupNobody:
      return {
        code: 'ENOTFOUND',
        message:
          `nobody in the anycast group ${node} can be reached; \`spines groups\` shows ` + 'who is',
      };
    case DropReason.groupForbidden:
      return {
        code: 'EACCES',
        message:
          `the certificate of this daemon does not let it send to ${node}; ask its authority for ` +
          'one that does',
      };
    case DropReason.endToEndMissing:
      return {
        code: 'EOPNOTSUPP',
        message:
          `what is sent to a group (${node}) is sealed on links only; open the socket with ` +
          "secrecy 'links'",
      };
    case DropReason.packetTooLong:
      return { code: 'EMSGSIZE', message: 'a message has at most 65,536 bytes; split it' };
    case DropReason.packetMalformed:
      return {
        code: 'EINVAL',
        message: `${node} is not an address of a node or group, or the port is 0`,
      };
    case DropReason.clientRefused:
      return {
        code: 'EADDRINUSE',
        message: 'no free port is left; close sockets that are not needed',
      };
    default:
      return { code: 'EIO', message: `not sent to ${node}: ${dropReasonName(reason)}` };
  }
}
