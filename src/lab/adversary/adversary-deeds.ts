/**
 * The attacks that only a simulation can mount, by name: what each adversary does to data,
 * acknowledgements and discovery.
 *
 * Owns no network: a deed is a few hooks that use an adversary's hands (adversary.ts). Deeds are
 * combined by `both`. Names and amounts are those of `SIMULATED_MISBEHAVIOURS` in
 * lab/misbehaviour/misbehaviours.ts. Invariant: nothing here needs a secret that its node, or one
 * that conspires with it, does not have.
 */

import { MILLISECOND } from '../../core/base/time.ts';
import { copyOfAck, copyOfPacket, flipBit } from '../misbehaviour/misbehaviour.ts';
import { decodeRouteRequest, ROUTE_REQUEST } from '../../core/wire/discovery.ts';
import { both, drop, headOf, madeOnion, type Make, withData } from './deed-tools.ts';
import { DATA_DEEDS } from './deeds-on-data.ts';
import { FLOOD_DEEDS } from './deeds-of-floods.ts';
import { PATH_DEEDS } from './deeds-on-paths.ts';

export { both } from './deed-tools.ts';

export const DEEDS: Readonly<Record<string, Make>> = {
  ...PATH_DEEDS,
  ...DATA_DEEDS,
  ...FLOOD_DEEDS,

  /*
   * ---------------------------------------------------------------- who minds what the source
   * thinks
   */

  /**
   * A29: drops until a source's request says that a link of its own is convicted, then behaves for
   * so many packets.
   */
  'good-bad-cycle': (me, packets) => {
    let good = 0;
    return {
      onRoute: (message) => {
        const request =
          message[0] === ROUTE_REQUEST ? decodeRouteRequest(message, 0, message.length) : 0;
        if (
          typeof request !== 'number' &&
          request.weights.some(({ u, v }) => u === me.id || v === me.id)
        )
          good = packets ?? 300;
        return false;
      },
      onData: () => {
        good -= 1;
        return good < 0;
      },
      onTransit: drop,
    };
  },

  /**
   * A5 and B4: everything while nobody is probed, and what the tolerance lets pass while somebody
   * is.
   */
  greedy: (me) => {
    let seen = 0;
    const { tolerance } = me.node.config.byzantine;
    return both(
      withData((data) => {
        seen += 1;
        return data.layers === 1 || seen % Math.ceil(1.05 / tolerance) === 0;
      }),
      { onTransit: drop },
    );
  },

  /** Any of all that, packet by packet, each adversary with a taste of its own. */
  anything: (me) => {
    const { rng } = me;
    const taste = (): number => (rng.chance(0.5) ? 0 : rng.unit() * 0.4);
    const [
      drops,
      damages,
      delays,
      fakes,
      repeats,
      acksDropped,
      acksDamaged,
      acksDelayed,
      routesDropped,
      lies,
    ] = Array.from({ length: 10 }, taste) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const longest = (1 + rng.below(600)) * MILLISECOND;
    if (lies > 0) me.lieAboutHolds((holdUs) => (rng.chance(lies) ? rng.below(longest) : holdUs));
    return both(
      {
        onRoute: () => rng.chance(routesDropped),
        onAck: (ack, from, service) => {
          if (rng.chance(acksDropped)) return true;
          if (rng.chance(acksDamaged)) flipBit(ack.bytes, ack.onionStart, ack.end, rng);
          if (!rng.chance(acksDelayed)) return false;
          const copy = copyOfAck(ack);
          me.later(rng.below(longest), () => me.router.forwarder.onAck(copy, from, service));
          return true;
        },
        onTransit: () => rng.chance(drops),
      },
      withData((data, packet, from) => {
        const beside = me.beside(data);
        if (beside !== null && rng.chance(fakes))
          me.sendAck(
            beside.before,
            headOf(data),
            madeOnion(me, data.hop(rng.below(data.hops)), 1 + rng.below(data.hops)),
            packet.service,
          );
        if (rng.chance(repeats)) {
          const copy = copyOfPacket(packet);
          me.later(rng.below(longest), () => me.router.forwarder.onData(copy, from));
        }
        if (rng.chance(drops)) return true;
        if (rng.chance(damages)) flipBit(packet.bytes, packet.payloadStart, packet.end, rng);
        if (!rng.chance(delays)) return false;
        const copy = copyOfPacket(packet);
        me.later(rng.below(longest), () => me.router.forwarder.onData(copy, from));
        return true;
      }),
    );
  },
};
