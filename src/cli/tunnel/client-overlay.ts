/**
 * Overlay sockets of a UDP tunnel by the client library, and the node at its far end.
 *
 * Owns what becomes of a socket while the daemon is away: nothing is kept, and it has its port
 * again afterwards, or is given up.
 */

import type { SpinesClient, SpinesClientError, SpinesDatagram } from 'spines-client';
import type { SecrecyName } from 'spines-client/protocol';

import { formatNodeId, isNodeId, parseNodeId } from '../../core/base/ids.ts';
import { disseminationName, serviceName } from '../../core/wire/modes.ts';
import type { FlowMode } from '../../host/tunnel/udp-message.ts';
import type { Overlay, OverlayEvents, OverlaySocket } from '../../host/tunnel/udp-overlay.ts';
import { ask } from '../client.ts';

export class ClientOverlay implements Overlay {
  readonly #client: SpinesClient;
  readonly #secrecy: SecrecyName | undefined;

  constructor(client: SpinesClient, secrecy: SecrecyName | undefined) {
    this.#client = client;
    this.#secrecy = secrecy;
  }

  open(mode: FlowMode, sealed: boolean | null, events: OverlayEvents): OverlaySocket {
    const secrecy = sealed === null ? this.#secrecy : sealed ? 'end-to-end' : 'links';
    try {
      return new ClientSocket(datagramOf(this.#client, mode, secrecy), events);
    } catch (error) {
      // The connection is closed already, or the daemon's library has no such mode: who asks from
      // afar may not end us.
      let closed = false;
      setImmediate(() => {
        if (!closed) events.onBroken((error as Error).message);
      });
      return {
        send: () => false,
        close: () => {
          closed = true;
        },
      };
    }
  }
}

/** Throws what the client library throws. */
export function datagramOf(
  client: SpinesClient,
  { link, routing, deadlineMs }: FlowMode,
  secrecy: SecrecyName | undefined,
): SpinesDatagram {
  return client.datagram({
    link: serviceName(link),
    routing: disseminationName(routing),
    secrecy,
    ...(deadlineMs === 0 ? {} : { deadlineMs }),
  });
}

class ClientSocket implements OverlaySocket {
  readonly #socket: SpinesDatagram;
  #closed = false;

  constructor(socket: SpinesDatagram, events: OverlayEvents) {
    this.#socket = socket;
    const unlessClosed = (tell: () => void): void => {
      if (!this.#closed) tell();
    };
    socket
      .on('message', (message, { address, port, authenticated }) =>
        unlessClosed(() => events.onMessage(message, address, port, authenticated)),
      )
      .on('dropped', ({ count }) =>
        unlessClosed(() => events.onLost(count, 'answers came faster than they were read')),
      )
      .on('sendError', ({ count, message }: SpinesClientError) =>
        unlessClosed(() => events.onLost(count, message)),
      )
      .on('error', ({ message }) => unlessClosed(() => events.onBroken(message)))
      .on('close', () => {
        this.#closed = true;
      });
  }

  send(parts: readonly Uint8Array[], node: string, port: number): boolean {
    if (this.#closed || this.#socket.writableNeedDrain) return false;
    this.#socket.send(parts, port, node);
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}

/** A node isn't asked for more often than this while it is not known. */
const ASK_MS = 1_000;

/** The node that a name means; asked for until it is known, and anew after a reconnection. */
export class FarNode {
  readonly #client: SpinesClient;
  readonly #name: string;
  #quad: string | null = null;
  #askedMs = -Infinity;

  constructor(client: SpinesClient, name: string) {
    this.#client = client;
    this.#name = name;
    const id = parseNodeId(name);
    if (id !== null && isNodeId(id)) this.#quad = formatNodeId(id);
    else client.on('reconnect', () => void this.ask());
  }

  /** A dotted quad, or null while it is not known. */
  get quad(): string | null {
    if (this.#quad === null && performance.now() - this.#askedMs >= ASK_MS) void this.ask();
    return this.#quad;
  }

  async ask(): Promise<void> {
    this.#askedMs = performance.now();
    try {
      this.#quad = (await ask(this.#client, 'resolve', { name: this.#name })).node;
    } catch {
      // Whoever sends is told that it is not known, and it is asked for again.
    }
  }
}
