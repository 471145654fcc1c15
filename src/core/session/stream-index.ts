/**
 * Which stream a packet means: by the id that it names, by the SYN that opened it, or by its far
 * end.
 *
 * Owns the tables and nothing of the streams in them. An id is drawn at random by the node that
 * looks it up here.
 */

import type { Port } from '../base/ids.ts';
import type { Packet } from '../wire/packet.ts';
import type { Stream } from './stream.ts';

export class StreamIndex {
  readonly #byId = new Map<number, Stream>();
  /** Ports of streams that were opened here, and how many each has. */
  readonly #opened = new Map<Port, number>();
  /** Streams that others opened, by what their SYN says, so that a repeated SYN is recognised. */
  readonly #bySyn = new Map<string, Stream>();
  readonly #synOf = new Map<Stream, string>();

  get size(): number {
    return this.#byId.size;
  }

  all(): IterableIterator<Stream> {
    return this.#byId.values();
  }

  /** The stream with that id of ours. */
  of(id: number): Stream | undefined {
    return this.#byId.get(id);
  }

  /** The stream that a SYN from where `packet` came from opened, with that id of the far end's. */
  ofSyn(packet: Packet, remoteId: number): Stream | undefined {
    return this.#bySyn.get(synName(packet, remoteId));
  }

  /** A stream between the ends of `packet` whose far end has that id; looks through all of them. */
  ofFarEnd(packet: Packet, remoteId: number): Stream | undefined {
    for (const stream of this.#byId.values()) {
      if (
        stream.remoteId === remoteId &&
        stream.node === packet.source &&
        stream.port === packet.sourcePort &&
        stream.localPort === packet.destinationPort
      )
        return stream;
    }
    return undefined;
  }

  /** Whether streams that were opened here use that port. */
  opens(port: Port): boolean {
    return this.#opened.has(port);
  }

  /** A stream that was opened here. */
  addOpened(stream: Stream): void {
    this.#byId.set(stream.id, stream);
    this.#opened.set(stream.localPort, (this.#opened.get(stream.localPort) ?? 0) + 1);
  }

  /** A stream that the SYN in `packet` opened. */
  addAccepted(stream: Stream, packet: Packet): void {
    const name = synName(packet, stream.remoteId);
    this.#byId.set(stream.id, stream);
    this.#bySyn.set(name, stream);
    this.#synOf.set(stream, name);
  }

  delete(stream: Stream): void {
    this.#byId.delete(stream.id);
    if (stream.initiator) {
      const left = this.#opened.get(stream.localPort)! - 1;
      if (left === 0) this.#opened.delete(stream.localPort);
      else this.#opened.set(stream.localPort, left);
    }
    const name = this.#synOf.get(stream);
    if (name === undefined) return;
    this.#bySyn.delete(name);
    this.#synOf.delete(stream);
  }
}

/**
 * What a stream that `packet` opened is known by, until it has told the id that we chose. A claimed
 * source opens none in the name of a proved one.
 */
function synName(
  { authenticated, source, sourcePort, destinationPort }: Packet,
  remoteId: number,
): string {
  return `${authenticated ? '' : 'claimed '}${source} ${sourcePort} ${destinationPort} ${remoteId}`;
}
