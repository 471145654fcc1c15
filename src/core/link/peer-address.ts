/**
 * Where a peer is: whether a datagram from elsewhere means that it has moved.
 *
 * On a link that is not sealed the newest datagram moves it; on a sealed one a probe goes to the
 * new address, and only its answer moves the link (`path-probe.ts`). Owns these probes, and answers
 * the peer's.
 */

import { copyBytes } from '../base/bytes.ts';
import { samePath, type Endpoint } from '../base/datagram.ts';
import { DropReason } from '../wire/drop.ts';
import { FRAME_PATH_ANSWER, FRAME_PATH_PROBE, PATH_TOKEN_BYTES } from '../wire/frames.ts';
import type { Channel } from './channel.ts';
import type { LinkEnvironment } from './environment.ts';
import { PathProbe } from './path-probe.ts';

/** As much of a link as its peer's address needs. */
export interface MovingLink {
  readonly label: string;
  readonly size: {
    /** The path is another one. */
    start(): void;
    /** The path may be another one. */
    doubt(): void;
  };
}

export class PeerAddress {
  readonly #link: MovingLink;
  readonly #env: Pick<LinkEnvironment, 'clock' | 'log'>;
  readonly #probe: PathProbe;

  constructor(link: MovingLink, env: Pick<LinkEnvironment, 'clock' | 'log' | 'draws'>) {
    this.#link = link;
    this.#env = env;
    this.#probe = new PathProbe(env.draws);
  }

  /**
   * A datagram came from elsewhere, or to another address of ours: the peer may have moved, or
   * somebody passes its datagrams on. `newest`: none with a higher number has come.
   */
  onOther(channel: Channel, from: Endpoint, newest: boolean): void {
    if (samePath(from, channel.endpoint)) channel.endpoint = from;
    else if (!newest) return;
    else if (channel.epoch.seal === null) this.#move(channel, from);
    else if (this.#probe.mayAsk(from, this.#env.clock.now())) {
      channel.flush();
      this.#probe.ask(
        from,
        channel.buffer,
        channel.frame(FRAME_PATH_PROBE, PATH_TOKEN_BYTES),
        this.#env.clock.now(),
      );
      channel.flushTo(from);
    }
  }

  /** A probe of the peer's, or its answer to ours. */
  onFrame(
    channel: Channel,
    type: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    from: Endpoint,
  ): DropReason {
    if (end - start !== PATH_TOKEN_BYTES) return DropReason.pathFrameMalformed;
    if (type === FRAME_PATH_PROBE) {
      // We have moved, and datagrams take another way since.
      this.#link.size.doubt();
      const at = channel.frame(FRAME_PATH_ANSWER, PATH_TOKEN_BYTES);
      copyBytes(bytes, start, end, channel.buffer, at);
      return DropReason.none;
    }
    if (!this.#probe.proves(bytes, start, from)) return DropReason.pathProbeUnasked;
    this.#move(channel, from);
    return DropReason.none;
  }

  #move(channel: Channel, to: Endpoint): void {
    this.#env.log.info(
      { peer: this.#link.label, from: channel.endpoint.key, to: to.key, local: to.local },
      'link moved',
    );
    channel.endpoint = to;
    this.#link.size.start();
  }
}
