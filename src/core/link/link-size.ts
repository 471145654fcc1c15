/**
 * How long datagrams of one link may be: its size search, as part of the link.
 *
 * Owns the search and where it looks; answers the peer's probes, gives the channel the size that
 * was found, and says so in the log. What is a sign of lost long datagrams is `size-losses.ts`'s.
 */

import { DropReason } from '../wire/drop.ts';
import { FRAME_SIZE_ANSWER } from '../wire/frames.ts';
import {
  decodeSizeAnswer,
  decodeSizeProbe,
  putSizeToken,
  SIZE_TOKEN_BYTES,
  type SizeToken,
} from '../wire/path-size.ts';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES } from '../wire/sizes.ts';
import type { Endpoint } from '../base/datagram.ts';
import type { Channel } from './channel.ts';
import type { LinkEnvironment } from './environment.ts';
import type { Liveness } from './liveness.ts';
import { lostForSize, type Arrived } from './size-losses.ts';
import { SizeSearch, type SizeState } from './size-search.ts';

/** As much of a link as its size needs. */
export interface SizedLink {
  readonly label: string;
  readonly endpoint: Endpoint;
  /** The channel that data leaves on, null unless the link is up. */
  readonly channel: Channel | null;
  readonly liveness: Liveness;
  /** Begins a control frame; where its body goes in the buffer of the channel. */
  control(type: number, bodyBytes: number): number;
}

export class LinkSize {
  readonly #link: SizedLink;
  readonly #env: Pick<LinkEnvironment, 'log'>;
  readonly #search: SizeSearch;
  readonly #token: SizeToken = { high: 0, low: 0 };
  /**
   * Number of the first datagram that was sent since the size was last looked at: losses before it
   * say nothing more.
   */
  #from = 0;
  #saidTooLong = false;

  constructor(link: SizedLink, env: Pick<LinkEnvironment, 'clock' | 'timers' | 'draws' | 'log'>) {
    this.#link = link;
    this.#env = env;
    const { liveness } = link;
    this.#search = new SizeSearch(env.clock, env.timers, env.draws, liveness.rtt, {
      sendProbe: (bytes, token) => link.channel!.probeSize(bytes, token),
      onSize: (bytes, settled) => this.#onSize(bytes, settled),
      failure: () => 1 - (1 - liveness.lossIn.rate) * (1 - liveness.lossOut),
    });
  }

  get state(): SizeState {
    return this.#search.state;
  }

  /** A path of which nothing is known: another channel, another address of either side. */
  start(): void {
    this.#search.start();
  }

  stop(): void {
    this.#search.stop();
  }

  /** Datagrams seem to be lost for their size, or the path may have changed. */
  doubt(): void {
    this.#search.doubt();
  }

  /** The device towards the peer refused a datagram, for its size. */
  onDatagramTooLong(): void {
    this.#search.onRefused();
    if (this.#saidTooLong) return;
    this.#saidTooLong = true;
    this.#env.log.warn(
      { peer: this.#link.label, address: this.#link.endpoint.key },
      'datagrams to this neighbour are longer than the MTU of the network device',
    );
  }

  /** A probe of the peer's, which has arrived: its answer leaves on `channel`, the one in use. */
  onProbe(channel: Channel, bytes: Uint8Array, end: number): DropReason {
    const reason = decodeSizeProbe(bytes, DATAGRAM_HEADER_BYTES, end, this.#token);
    if (reason !== DropReason.none) return reason;
    putSizeToken(
      channel.buffer,
      this.#link.control(FRAME_SIZE_ANSWER, SIZE_TOKEN_BYTES),
      this.#token,
    );
    return DropReason.none;
  }

  /** The peer's answer to a probe of ours. */
  onAnswer(bytes: Uint8Array, start: number, end: number): DropReason {
    const reason = decodeSizeAnswer(bytes, start, end, this.#token);
    if (reason !== DropReason.none) return reason;
    return this.#search.onAnswer(this.#token) ? DropReason.none : DropReason.sizeAnswerUnasked;
  }

  /** The peer said what it has got: perhaps the long ones are missing. */
  onAcknowledged(arrived: Arrived): void {
    const { channel, liveness } = this.#link;
    if (channel === null || !lostForSize(arrived, channel, this.#from, liveness.lossOut)) return;
    this.#from = channel.fillingNumber;
    this.#search.doubt();
  }

  #onSize(bytes: number, settled: boolean): void {
    const { label } = this.#link;
    const channel = this.#link.channel!;
    if (bytes < channel.size)
      this.#env.log.info(
        { peer: label, bytes: channel.size },
        'datagrams of this size no longer arrive, or the path is another: its size is measured ' +
          'again',
      );
    channel.size = bytes;
    this.#from = channel.fillingNumber;
    if (settled && bytes < DATAGRAM_BYTES_MAX)
      this.#env.log.info(
        { peer: label, bytes },
        'the path to this neighbour takes smaller datagrams',
      );
  }
}
