/**
 * What a handshake makes of a link: a channel, or new keys for the one that it has.
 *
 * Owns the order in which keys, receiver indices and channels are made of an agreement, on the side
 * that answers and on the side that dialled. Whether a handshake is let is link-table.ts's.
 */

import type { Endpoint } from '../base/datagram.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import { DropReason } from '../wire/drop.ts';
import { DATAGRAM_BYTES_MAX } from '../wire/sizes.ts';
import { Channel, Epoch } from './channel.ts';
import { Dial } from './dial.ts';
import type { LinkEnvironment } from './environment.ts';
import type { Agreement, Invitation, Run } from './handshaker.ts';
import type { KeyRenewal } from './key-renewal.ts';
import type { Link } from './link.ts';
import {
  COPIES_BURST,
  COPIES_PER_SECOND,
  type Answered,
  type ChannelEntry,
  type ReceiverIndices,
} from './receiver-indices.ts';

export class Agreements {
  readonly #env: LinkEnvironment<Link>;
  readonly #run: Run;
  readonly #indices: ReceiverIndices;
  readonly #renewal: KeyRenewal;
  readonly #scratch = new Uint8Array(DATAGRAM_BYTES_MAX);

  constructor(env: LinkEnvironment<Link>, run: Run, indices: ReceiverIndices, renewal: KeyRenewal) {
    this.#env = env;
    this.#run = run;
    this.#indices = indices;
    this.#renewal = renewal;
  }

  /**
   * Accepts `invitation` for `link`: a channel on offer, or new keys for the one it has.
   * `late`: its stamp is not the newest, so it may be a replay until the dialler uses the answer.
   */
  answer(
    link: Link,
    invitation: Invitation,
    fingerprint: string,
    attempt: number,
    from: Endpoint,
    late: boolean,
  ): DropReason {
    const { index, instance, started, version, certificate, continues, stamp } = invitation.hello;
    const localIndex = this.#indices.free();
    const channel = link.channel;
    const old = continues === 0 ? undefined : this.#indices.get(continues);
    const renewed =
      channel !== null &&
      channel.instance === instance &&
      channel.version === version &&
      old !== undefined &&
      !(old instanceof Dial) &&
      old.channel === channel
        ? channel
        : null;
    const answer = invitation.accept(
      localIndex,
      renewed === null ? 0 : renewed.epoch.remoteIndex,
      this.#run,
      attempt,
      this.#scratch,
    );
    if (answer === null) return DropReason.handshakeBroken;
    const { length, seal, shown } = answer;
    link.inits.onAnswered(instance, stamp);
    const epoch = new Epoch(localIndex, index, seal, this.#env.clock.now(), certificate, shown);
    let entry: ChannelEntry;
    if (renewed === null) {
      entry = {
        channel: new Channel(epoch, instance, from, this.#env),
        link,
        epoch,
      };
      Object.assign(entry.channel, { started, version, node: link.node });
    } else {
      entry = { channel: renewed, link, epoch };
      if (renewed.nextEpoch !== null) this.#indices.forgetEpoch(renewed.nextEpoch);
      renewed.nextEpoch = epoch;
    }
    this.#indices.set(localIndex, entry);
    if (fingerprint !== '')
      this.#indices.remember(fingerprint, {
        entry,
        response: this.#scratch.slice(0, length),
        copies: new TokenBucket(COPIES_PER_SECOND, COPIES_BURST),
      });
    if (renewed === null) link.offerChannel(entry.channel, stamp, late);
    this.#env.calls.send(from, this.#scratch, length);
    return DropReason.none;
  }

  /**
   * A copy of an INIT: the answer may have been lost. Once the peer uses the agreement, a copy can
   * only be a replay.
   */
  answerAgain({ entry, response, copies }: Answered, from: Endpoint): DropReason {
    const { channel, link, epoch } = entry;
    const open =
      channel === link.nextChannel || (channel === link.channel && epoch === channel.nextEpoch);
    if (!open) return DropReason.handshakeReplayed;
    if (!copies.take(this.#env.clock.now())) return DropReason.handshakeOverBudget;
    this.#env.calls.send(from, response, response.length);
    return DropReason.none;
  }

  /** The answer to a handshake for new keys. */
  renew(dial: Dial, link: Link | undefined, agreed: Agreement, from: Endpoint): DropReason {
    const channel = link?.channel ?? null;
    if (link === undefined || channel === null || link !== dial.link)
      return DropReason.handshakeUnexpected;
    const { hello, seal, shown } = agreed;
    const continued = this.#indices.get(hello.continues);
    if (
      hello.instance !== channel.instance ||
      hello.version !== channel.version ||
      continued === undefined ||
      continued instanceof Dial ||
      continued.channel !== channel
    ) {
      // The peer knows nothing of our channel: it has begun anew, and so do we.
      this.useNew(dial, link, agreed, from);
      return DropReason.none;
    }
    const rival = channel.nextEpoch;
    if (rival !== null && this.#env.self < link.node) {
      // Both had the same thought and each was answered: the keys of the higher id's handshake
      // count, as it will see too.
      this.#renewal.endRound(dial);
      return DropReason.none;
    }
    if (rival !== null) rival.superseded = true;
    const epoch = new Epoch(
      dial.index,
      hello.index,
      seal,
      this.#env.clock.now(),
      hello.certificate,
      shown,
    );
    dial.index = -1;
    this.#renewal.endRound(dial);
    this.#indices.set(epoch.localIndex, { channel, link, epoch });
    this.#renewal.enter(link, channel, epoch);
    link.dialled = true;
    link.liveness.greet();
    return DropReason.none;
  }

  /** A channel from the answer to a dial: the link begins with it. */
  useNew(dial: Dial, link: Link, { hello, seal, shown }: Agreement, from: Endpoint): void {
    const epoch = new Epoch(
      dial.index,
      hello.index,
      seal,
      this.#env.clock.now(),
      hello.certificate,
      shown,
    );
    dial.index = -1;
    this.#renewal.endRound(dial);
    // A sealed answer may be a copy that somebody else was first with: data goes where the call
    // went, and the peer may move later.
    const called = dial.rekeys ? link.endpoint : dial.endpoint;
    const channel = new Channel(
      epoch,
      hello.instance,
      seal === null || called.key === from.key ? from : called,
      this.#env,
    );
    Object.assign(channel, { started: hello.started, version: hello.version, node: link.node });
    this.#indices.set(epoch.localIndex, { channel, link, epoch });
    link.useChannel(channel, true);
  }
}
