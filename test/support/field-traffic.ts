/**
 * Traffic of the field test, and what is told of it: streams that are checked byte by byte, and
 * numbered datagrams.
 *
 * Each flow keeps what it saw with times of `performance.now()`; whether a loss or an end is one
 * that promises allow is decided by who knows what was done to the network. Programs heed `false`
 * and reconnect by themselves.
 */

import {
  connect,
  createServer,
  createSocket,
  type SpinesClient,
  type SpinesDatagram,
  type SpinesServer,
} from 'spines-client';

/** Byte `at` of the stream or datagram `id`. */
const byteOf = (id: number, at: number): number =>
  (Math.imul(at + 1, 0x9e37_79b1) ^ Math.imul(id + 1, 0x85eb_ca6b)) >>> 24;
const HEAD = 8;
const SECOND_MS = 1_000;

export interface Party {
  readonly name: string;
  readonly index: number;
  readonly client: SpinesClient;
}

export interface StreamStory {
  readonly id: number;
  readonly began: number;
  sent: number;
  /** The program has ended it: all that it will ever send is `sent`. */
  ended: boolean;
  senderDone: number | null;
  senderError: string | null;
  received: number;
  receivedEnd: boolean;
  receiverError: string | null;
  receiverDone: number | null;
  accepted: boolean;
}

/** Streams one after the other from one node to another, each some 20 s long. */
export class StreamFlow {
  readonly from: Party;
  readonly to: Party;
  readonly stories: StreamStory[] = [];
  readonly faults: string[] = [];
  readonly #port: number;
  readonly #server: SpinesServer;
  #stopped = false;

  constructor(from: Party, to: Party, port: number) {
    this.from = from;
    this.to = to;
    this.#port = port;
    this.#server = createServer({ client: to.client }, (socket) => {
      let story: StreamStory | null = null,
        head = Buffer.alloc(0);
      socket.on('data', (data: Buffer) => {
        let rest = data;
        if (story === null) {
          head = Buffer.concat([head, data]);
          if (head.length < HEAD) return;
          const id = head.readUInt32BE(4);
          story = this.stories[id] ?? null;
          if (story === null || head.readUInt32BE(0) !== this.#port) {
            this.faults.push(`stream on ${this.#port}: a head that nobody sent`);
            socket.destroy();
            return;
          }
          story.accepted = true;
          rest = head.subarray(HEAD);
        }
        for (let i = 0; i < rest.length; i += 1) {
          if (rest[i] !== byteOf(story.id, story.received + i)) {
            this.faults.push(
              `stream ${story.id} on ${this.#port}: wrong byte at ${story.received + i}`,
            );
            socket.destroy();
            return;
          }
        }
        story.received += rest.length;
      });
      socket.on('end', () => {
        if (story !== null) story.receivedEnd = true;
      });
      socket.on('error', (error: Error & { code?: string }) => {
        if (story !== null) story.receiverError = error.code ?? error.message;
      });
      socket.on('close', () => {
        if (story !== null) story.receiverDone = performance.now();
      });
    });
    this.#server.on('error', () => this.#listen());
    this.#listen();
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
  }

  #listen(): void {
    setTimeout(() => {
      if (!this.#server.listening) this.#server.listen(this.#port);
    }, 100);
  }

  async #run(): Promise<void> {
    while (!this.#server.listening) await new Promise((resolve) => setTimeout(resolve, 20));
    while (!this.#stopped) {
      await this.#one();
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  #one(): Promise<void> {
    const id = this.stories.length;
    const story: StreamStory = {
      id,
      began: performance.now(),
      sent: 0,
      ended: false,
      senderDone: null,
      senderError: null,
      received: 0,
      receivedEnd: false,
      receiverError: null,
      receiverDone: null,
      accepted: false,
    };
    this.stories.push(story);
    return new Promise((resolve) => {
      const socket = connect({ client: this.from.client, port: this.#port, host: this.to.name });
      const mostBytes = 300_000 + ((id * 7_919) % 500_000);
      let pulse: NodeJS.Timeout | null = null;
      socket.on('connect', () => {
        const head = Buffer.alloc(HEAD);
        head.writeUInt32BE(this.#port, 0);
        head.writeUInt32BE(id, 4);
        socket.write(head);
        pulse = setInterval(() => {
          if (socket.writableNeedDrain || story.ended) return;
          const length = Math.min(2_000, mostBytes - story.sent),
            data = Buffer.alloc(length);
          for (let i = 0; i < length; i += 1) data[i] = byteOf(id, story.sent + i);
          story.sent += length;
          socket.write(data);
          if (story.sent < mostBytes && !this.#stopped) return;
          story.ended = true;
          socket.end();
        }, 50);
      });
      socket.resume();
      socket.on('error', (error: Error & { code?: string }) => {
        story.senderError = error.code ?? error.message;
      });
      socket.on('close', () => {
        if (pulse !== null) clearInterval(pulse);
        story.senderDone = performance.now();
        resolve();
      });
    });
  }
}

export interface DatagramStory {
  readonly at: number;
  arrived: number | null;
}

/** Numbered datagrams, 20 a second, from one node to another. */
export class DatagramFlow {
  readonly from: Party;
  readonly to: Party;
  readonly what: string;
  readonly stories: (DatagramStory | null)[] = [];
  readonly faults: string[] = [];
  /** When datagrams were told to be lost, once for each, and in which words. */
  readonly told: number[] = [];
  readonly words = new Map<string, number>();
  /** Refusals that were told by the callback of one. */
  refused = 0;
  readonly #source: SpinesDatagram;
  #waits = false;
  readonly #pulse: NodeJS.Timeout;

  constructor(
    from: Party,
    to: Party,
    port: number,
    options: { link: 'reliable' | 'best-effort'; routing?: 'byzantine' },
  ) {
    this.from = from;
    this.to = to;
    this.what = `${options.routing ?? 'link-state'} ${options.link} ${from.name} to ${to.name}`;
    const sink = createSocket({ client: to.client, ...options });
    const bind = (): void => {
      sink.bind(port, () => {});
    };
    sink.on('error', (error: Error) =>
      this.faults.push(`${this.what}: the receiver: ${error.message}`),
    );
    sink.on('message', (message: Buffer) => {
      const number = message.readUInt32BE(0),
        story = this.stories[number] ?? null;
      for (let i = 4; i < message.length; i += 1) {
        if (message[i] !== byteOf(number, i)) {
          this.faults.push(`${this.what}: datagram ${number} has a wrong byte`);
          return;
        }
      }
      if (story === null) this.faults.push(`${this.what}: datagram ${number} was not sent`);
      else if (story.arrived !== null) {
        const apart = Math.round(performance.now() - story.arrived),
          ago = Math.round(performance.now() - story.at);
        this.faults.push(
          `${this.what}: datagram ${number} came twice, ${apart} ms apart, sent ${ago} ms ago`,
        );
      } else story.arrived = performance.now();
    });
    bind();
    const source = createSocket({ client: from.client, ...options });
    this.#source = source;
    source.on('error', (error: Error) =>
      this.faults.push(`${this.what}: the sender: ${error.message}`),
    );
    source.on('sendError', (error: Error & { count?: number }) => {
      const count = error.count ?? 1;
      this.words.set(error.message, (this.words.get(error.message) ?? 0) + count);
      for (let i = 0; i < count; i += 1) this.told.push(performance.now());
    });
    source.on('drain', () => {
      this.#waits = false;
    });
    this.#pulse = setInterval(() => {
      if (this.#waits || !from.client.connected) return;
      const number = this.stories.length,
        message = Buffer.alloc(60 + ((number * 97) % 1_340));
      message.writeUInt32BE(number, 0);
      for (let i = 4; i < message.length; i += 1) message[i] = byteOf(number, i);
      const story = { at: performance.now(), arrived: null };
      this.stories.push(story);
      this.#waits = !source.send(message, port, to.name, (error: Error | null) => {
        if (error === null || error === undefined) return;
        this.stories[number] = null;
        this.refused += 1;
      });
    }, SECOND_MS / 20);
  }

  stop(): void {
    clearInterval(this.#pulse);
  }

  /** For who looks why nothing is sent. */
  get standing(): string {
    return (
      `waits ${this.#waits}, drain owed ${this.#source.writableNeedDrain}, ` +
      `${this.#source.getSendQueueCount()} in the queue, ${this.refused} refused`
    );
  }

  /** Sent between two times, and arrived of them. */
  share(from: number, to: number): { sent: number; arrived: number } {
    const of = this.stories.filter((story) => story !== null && story.at >= from && story.at < to);
    return { sent: of.length, arrived: of.filter((story) => story!.arrived !== null).length };
  }
}
