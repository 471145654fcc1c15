/**
 * Programs at the ends of streams, for stories: one that writes a known pattern as fast as it may,
 * and one that reads and compares every byte with it. Both remember how their stream ended.
 */

import type { Port } from '../../src/core/base/ids.ts';
import type { CongestionName } from '../../src/core/recovery/controller.ts';
import type { Stream, StreamOwner } from '../../src/core/session/stream.ts';
import type { StreamError } from '../../src/core/session/stream-state.ts';
import type { SimHost } from '../../src/lab/sim/world.ts';
import { DISSEMINATION_LINK_STATE, SERVICE_RELIABLE } from '../../src/core/wire/packet.ts';

/** The byte at `position` of the stream `salt`. */
export function byteAt(position: number, salt: number): number {
  return (Math.imul(position ^ (salt << 8), 0x9e37_79b1) >>> 24) & 0xff;
}

const CHUNK = 16_384;

export class StreamEnd implements StreamOwner {
  readonly host: SimHost;
  stream: Stream | null = null;
  opened = false;
  /** Undefined until the stream is over. */
  error: StreamError | undefined = undefined;
  endedAt = -1;
  written = 0;
  read = 0;
  /** Bytes that were not those of the pattern. */
  wrong = 0;
  readEnded = false;
  /** While false, nothing is taken. */
  reading = true;
  readonly #total: number;
  readonly #writes: number;
  readonly #reads: number;
  readonly #chunk = new Uint8Array(CHUNK);

  /** Writes `total` bytes of pattern `writes` and ends; what it reads must be pattern `reads`. */
  constructor(host: SimHost, total: number, writes: number, reads: number) {
    this.host = host;
    this.#total = total;
    this.#writes = writes;
    this.#reads = reads;
  }

  connect(
    to: SimHost | { readonly id: number },
    port: Port,
    service: number = SERVICE_RELIABLE,
    congestion: CongestionName = 'newreno',
  ): this {
    this.stream = this.host.node.streams.connect(to.id, port, 0, this, {
      service,
      dissemination: DISSEMINATION_LINK_STATE,
      ttl: 64,
      priority: 1,
      congestion,
    });
    this.host.endTurn();
    return this;
  }

  onOpen(stream: Stream): void {
    this.stream = stream;
    this.opened = true;
    this.#write();
  }

  onSpace(): void {
    this.#write();
  }

  onReadable(): void {
    if (this.reading) this.take();
  }

  onClosed(_stream: Stream, error: StreamError): void {
    this.error = error;
    this.endedAt = this.host.world.now();
  }

  /** Takes up to `limit` bytes and compares them. */
  take(limit = Infinity): void {
    const stream = this.stream!;
    for (let left = limit; left > 0 && stream.receiver.readyBytes > 0; ) {
      const front = stream.front(),
        count = Math.min(left, front.length);
      for (let i = 0; i < count; i += 1)
        if (front[i] !== byteAt(this.read + i, this.#reads)) this.wrong += 1;
      this.read += count;
      left -= count;
      stream.take(count);
    }
    if (!stream.readEnded) return;
    this.readEnded = true;
    stream.onTaken();
  }

  #write(): void {
    const stream = this.stream!;
    while (this.written < this.#total) {
      const count = Math.min(CHUNK, this.#total - this.written, stream.space);
      if (count === 0) return;
      for (let i = 0; i < count; i += 1) this.#chunk[i] = byteAt(this.written + i, this.#writes);
      const taken = stream.write(this.#chunk, 0, count);
      if (taken === 0) return;
      this.written += taken;
    }
    if (this.#total !== Infinity) stream.end();
  }
}

/** `host` listens on `port`: each stream that comes gets the end that `make` returns. */
export function serve(host: SimHost, port: Port, make: () => StreamEnd): StreamEnd[] {
  const ends: StreamEnd[] = [];
  host.node.streams.listen(port, 0, (chosen) => ({
    port: chosen,
    onAccept: (stream) => {
      const end = make();
      end.stream = stream;
      ends.push(end);
      return end;
    },
  }));
  return ends;
}
