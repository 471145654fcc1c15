/** One flow of the demo: 100 messages a second over reliable links, and when they arrive. */

import { createSocket, type RoutingName, type SpinesClient } from 'spines-client';

const INTERVAL_MS = 10;
/** It arrives: nothing is late that was sent so long ago. */
const LIVELY_MS = 200;
const TEXT = Buffer.alloc(200, 'demo ');

export class DemoFlow {
  readonly #sockets: readonly ReturnType<typeof createSocket>[];
  readonly #timer: NodeJS.Timeout;
  #lastAt = 0;
  #gapMs = 0;

  private constructor(
    sender: ReturnType<typeof createSocket>,
    receiver: ReturnType<typeof createSocket>,
    to: string,
    port: number,
  ) {
    this.#sockets = [sender, receiver];
    for (const socket of this.#sockets) {
      // What was lost over a cut link is told; the demo shows it by what arrives.
      socket.on('sendError', () => {});
      socket.on('error', () => {});
    }
    receiver.on('message', () => {
      const now = performance.now();
      if (this.#lastAt > 0) this.#gapMs = Math.max(this.#gapMs, now - this.#lastAt);
      this.#lastAt = now;
    });
    this.#timer = setInterval(() => sender.send(TEXT, port, to, () => {}), INTERVAL_MS);
  }

  static async open(
    from: SpinesClient,
    at: SpinesClient,
    to: string,
    port: number,
    routing: RoutingName,
  ): Promise<DemoFlow> {
    const options = { link: 'reliable', routing } as const;
    const receiver = createSocket({ client: at, ...options });
    await new Promise<void>((resolve, reject) => {
      receiver.once('error', reject);
      receiver.bind(port, undefined, () => resolve());
    });
    return new DemoFlow(createSocket({ client: from, ...options }), receiver, to, port);
  }

  /** Something has arrived just now. */
  get lively(): boolean {
    return this.#lastAt > 0 && performance.now() - this.#lastAt < LIVELY_MS;
  }

  /** The longest time without a message since `watchGap`. */
  get gapMs(): number {
    return Math.round(this.#gapMs);
  }

  watchGap(): void {
    this.#gapMs = 0;
  }

  close(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.close();
  }
}
