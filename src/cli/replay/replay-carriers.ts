/**
 * How a flow's messages travel in a real-time replay: as datagrams, or one after the other in a
 * stream.
 *
 * Owns sockets and, for streams, finding messages of one size again in the bytes. Schedules and
 * measuring are replay-flows.ts's. What a stream does not take waits in its socket: the
 * application's buffer.
 */

import {
  SpinesClientError,
  type SpinesClient,
  type SpinesDatagram,
  type SpinesSocket,
} from 'spines-client';

import type { TopologyFlow } from '../../lab/topology/topology.ts';

export interface CarrierOptions {
  readonly flow: TopologyFlow;
  readonly source: SpinesClient;
  readonly destination: SpinesClient;
  /** Dotted quad of the destination. */
  readonly to: string;
  /** `message` is valid during the call only. */
  readonly onMessage: (message: Buffer) => void;
  /** Messages that were not taken, or a socket that broke (count 1). */
  readonly onRefused: (code: string, count: number) => void;
}

export interface Carrier {
  /** `payload` has the flow's size; it is not kept. */
  send(payload: Uint8Array): void;
  /** Messages that wait in this process because the stream does not take them. */
  waiting(): number;
  close(): void;
}

/** A stream that waits more than this is hopelessly late: further messages are refused. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;
const RECV_QUEUE_BYTES = 4 * 1024 * 1024;

export function openCarrier(options: CarrierOptions): Promise<Carrier> {
  return options.flow.session === 'stream' ? openStream(options) : openDatagrams(options);
}

async function openDatagrams({
  flow,
  source,
  destination,
  to,
  onMessage,
  onRefused,
}: CarrierOptions): Promise<Carrier> {
  // How late a message is shall be seen.
  const receiver = destination.datagram({ recvQueueBytes: RECV_QUEUE_BYTES, late: 'deliver' });
  const sender = source.datagram({
    link: flow.link,
    routing: flow.routing,
    paths: flow.paths,
    graph: flow.graph,
    deadlineMs:
      (flow.link === 'realtime' || flow.routing === 'graph') && flow.deadlineUs !== null
        ? Math.ceil(flow.deadlineUs / 1_000)
        : undefined,
  });
  await bound(receiver);
  await bound(sender);
  receiver.on('message', (message) => {
    if (message.length === flow.sizeBytes) onMessage(message);
  });
  sender.on('sendError', (error) => onRefused(error.code, error.count));
  // A daemon that crashes takes its sockets along; they come back with it, and what was sent
  // meanwhile is lost.
  for (const socket of [sender, receiver])
    socket.on('error', (error) => onRefused(codeOf(error), 1));
  const { port } = receiver.address();
  return {
    // A fixed rate does not wait: what the daemon refuses is part of the loss.
    send: (payload) => {
      sender.send(payload, port, to);
    },
    waiting: () => 0,
    close: () => {
      tryClose(sender);
      tryClose(receiver);
    },
  };
}

async function openStream({
  flow,
  source,
  destination,
  to,
  onMessage,
  onRefused,
}: CarrierOptions): Promise<Carrier> {
  const messages = new MessageCutter(flow.sizeBytes, onMessage);
  const { link, routing } = flow,
    congestion = flow.congestion ?? undefined;
  const server = destination.createServer(
    { link, routing, congestion, maxConnections: 1 },
    (socket) => {
      // The sender's side tells how it ended.
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => messages.push(chunk));
    },
  );
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, resolve));
  server.on('error', (error) => onRefused(codeOf(error), 1));
  const sender = source.stream({ link, routing, congestion });
  await connected(sender, server.address()!.port, to);
  // A stream dies with its daemon and does not come back.
  sender.on('error', (error) => onRefused(codeOf(error), 1));
  sender.resume();
  return {
    send: (payload) => {
      if (sender.destroyed || sender.writableLength + payload.length > BACKLOG_BYTES_MAX)
        onRefused(sender.destroyed ? 'ENOTCONN' : 'ENOBUFS', 1);
      else sender.write(Buffer.from(payload));
    },
    waiting: () => (sender.destroyed ? 0 : Math.floor(sender.writableLength / flow.sizeBytes)),
    close: () => {
      sender.destroy();
      server.close();
    },
  };
}

/** Cuts a byte stream into messages of one size. */
export class MessageCutter {
  readonly #onMessage: (message: Buffer) => void;
  readonly #partial: Buffer;
  #held = 0;

  constructor(sizeBytes: number, onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage;
    this.#partial = Buffer.alloc(sizeBytes);
  }

  push(chunk: Buffer): void {
    const size = this.#partial.length;
    let at = 0;
    while (at < chunk.length) {
      if (this.#held === 0 && chunk.length - at >= size) {
        this.#onMessage(chunk.subarray(at, at + size));
        at += size;
        continue;
      }
      const taken = chunk.copy(
        this.#partial,
        this.#held,
        at,
        Math.min(chunk.length, at + size - this.#held),
      );
      this.#held += taken;
      at += taken;
      if (this.#held < size) return;
      this.#held = 0;
      this.#onMessage(this.#partial);
    }
  }
}

function bound(socket: SpinesDatagram): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

function connected(socket: SpinesSocket, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.connect({ port, host }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

function tryClose(socket: SpinesDatagram): void {
  try {
    socket.close();
  } catch {
    // Closed with its client.
  }
}

function codeOf(error: Error): string {
  return error instanceof SpinesClientError ? error.code : 'EUNKNOWN';
}
