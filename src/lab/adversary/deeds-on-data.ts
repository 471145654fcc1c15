/**
 * Attacks of who damages what passes, or plays with time.
 *
 * Deeds of adversary-deeds.ts: a few hooks each, which use an adversary's hands.
 */

import { getU16 } from '../../core/base/bytes.ts';
import { MILLISECOND, type Micros } from '../../core/base/time.ts';
import { TIMER_UNIT_US } from '../../core/byzantine/onion.ts';
import { copyOfAck, copyOfPacket, delayed, flipBit } from '../misbehaviour/misbehaviour.ts';
import type { ProbedAck } from '../../core/wire/probed.ts';
import {
  BLACK_HOLE,
  both,
  drop,
  headOf,
  KEPT_MAX,
  madeOnion,
  type Make,
  provoking,
  TIMER_AT,
  withData,
} from './deed-tools.ts';

export const DATA_DEEDS: Readonly<Record<string, Make>> = {
  'corrupt-data': (me) => ({
    onData: (packet) => {
      if (me.rng.chance(0.3)) flipBit(packet.bytes, packet.payloadStart, packet.end, me.rng);
      return false;
    },
    onTransit: drop,
  }),

  'corrupt-acks': (me) => ({
    onAck: (ack) => {
      if (me.rng.chance(0.5)) flipBit(ack.bytes, ack.onionStart, ack.end, me.rng);
      return false;
    },
  }),

  /**
   * A12: answers data that it drops with what looks like an answer, to the one before it and to
   * those behind.
   */
  'fake-ack': (me) =>
    both(
      withData((data, packet) => {
        const beside = me.beside(data);
        if (beside === null) return true;
        const to = [
          beside.before,
          ...(beside.behind === null ? [] : [beside.behind]),
          ...me.neighbours.slice(0, 1),
        ];
        const layers = 1 + me.rng.below(data.hops);
        for (const node of to)
          me.sendAck(
            node,
            headOf(data),
            madeOnion(me, data.hop(data.hops - 1), layers),
            packet.service,
          );
        return true;
      }),
      BLACK_HOLE,
    ),

  /** A13: answers data that it drops with onions of other packets and other flows. */
  'replay-ack': (me) => {
    const kept: ProbedAck[] = [];
    return both(
      {
        onAck: (ack) => {
          if (kept.length < KEPT_MAX) kept.push(copyOfAck(ack));
          else kept[me.rng.below(KEPT_MAX)] = copyOfAck(ack);
          return false;
        },
      },
      withData((data, packet) => {
        if (kept.length < 16) return false;
        const beside = me.beside(data),
          old = kept[me.rng.below(kept.length)]!;
        if (beside !== null)
          me.sendAck(
            beside.before,
            me.rng.chance(0.5) ? { ...headOf(data), bitmap: old.bitmap } : old,
            old.onion,
            packet.service,
          );
        return true;
      }),
    );
  },

  /** A14: data goes on, and goes on again. */
  'replay-data': (me) =>
    withData((data, packet, from) => {
      const copy = copyOfPacket(packet),
        beside = me.beside(data);
      for (let i = 0; i < 2; i += 1) {
        me.later(me.rng.below(200 * MILLISECOND), () => {
          me.router.forwarder.onData(copyOfPacket(copy), from);
          if (beside !== null && beside.behind !== null)
            me.sendPacket(beside.behind, copyOfPacket(copy));
        });
      }
      return false;
    }),

  /* ---------------------------------------------------------------- who plays with time */

  /** A15: each packet and each answer is held for a time of its own. */
  reorder: (me, ms) =>
    delayed(me, () => me.rng.below(Math.max(1, Math.round((ms ?? 100) * MILLISECOND)))),

  /**
   * A16: has a search begin; as a probe it answers when its timer has all but fired; as anybody
   * else it holds answers for as long as a probe might.
   */
  'slack-burning': (me) => {
    const due = new Map<number, Micros>();
    return both(
      both(
        provoking(me),
        withData((data) => {
          if (data.tailHead !== me.id || data.layers === 1) return false;
          if (due.size >= 4_096) due.delete(due.keys().next().value!);
          due.set(
            data.counter,
            me.host.world.now() + getU16(data.bytes, data.sealedEnd + TIMER_AT) * TIMER_UNIT_US,
          );
          return false;
        }),
      ),
      {
        onAck: (ack, from, service) => {
          const copy = copyOfAck(ack),
            at = due.get(ack.counter);
          due.delete(ack.counter);
          const wait =
            at === undefined
              ? 150 * MILLISECOND
              : Math.max(1, at - me.host.world.now() - MILLISECOND);
          me.later(wait, () => me.router.forwarder.onAck(copy, from, service));
          return true;
        },
      },
    );
  },

  /**
   * Has a search begin, and says then that it held answers for longer, or for less long, than it
   * did.
   */
  'lie-hold': (me, ms) => {
    const most = Math.round((ms ?? 300) * MILLISECOND);
    me.lieAboutHolds((holdUs) => holdUs + me.rng.below(2 * most + 1) - most);
    return provoking(me);
  },
};
