/**
 * Attacks of who asks for too much.
 *
 * Deeds of adversary-deeds.ts: a few hooks each, which use an adversary's hands.
 */

import { getU32, putU32 } from '../../core/base/bytes.ts';
import { pathId } from '../../core/byzantine/discovered-path.ts';
import { flipBit } from '../misbehaviour/misbehaviour.ts';
import {
  DISSEMINATION_BYZANTINE,
  DISSEMINATION_LINK_STATE,
  KIND_DATAGRAM,
  KIND_PROBED,
  Packet,
  PRIORITY_DEFAULT,
  SERVICE_BEST_EFFORT,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../../core/wire/packet.ts';
import { encodeProbedHead, TAIL_LAST_BYTES } from '../../core/wire/probed.ts';
import { OVERLAY_HEADER_BYTES, PACKET_BYTES_MAX, TAG_BYTES } from '../../core/wire/sizes.ts';
import {
  flood,
  FORGED_BYTES,
  honest,
  inGroups,
  knownLinks,
  MADE_UP,
  type Make,
  requests,
  walkFrom,
} from './deed-tools.ts';

export const FLOOD_DEEDS: Readonly<Record<string, Make>> = {
  /** A17: requests and responses that it saw, with a bit wrong. */
  'signature-flood': (me, perSecond) => {
    const seen: Uint8Array[] = [];
    me.every(perSecond ?? 200, () => {
      const message = seen[me.rng.below(Math.max(1, seen.length))]?.slice();
      if (message === undefined) return;
      flipBit(message, 1, message.length, me.rng);
      me.floodRoute(message);
    });
    return {
      onRoute: (message) => {
        if (seen.length < 16) seen.push(message.slice());
        else seen[me.rng.below(16)] = message.slice();
        return false;
      },
    };
  },

  /** A18: genuine requests for anybody. */
  'request-storm': (me, perSecond) => requests(me, perSecond ?? 200, () => []),

  /** A19: with the heaviest weights on links of others. */
  'hostile-weights': (me) =>
    requests(me, 5, () => {
      const all = knownLinks(me);
      return all.slice(0, 64);
    }),

  /** A23: packets of its own, by link state, to everybody. */
  congestion: (me, perSecond) =>
    flood(me, perSecond ?? 1_000, {
      service: SERVICE_BEST_EFFORT,
      dissemination: DISSEMINATION_LINK_STATE,
      ttl: TTL_DEFAULT,
      priority: PRIORITY_DEFAULT,
    }),

  /** A27: the same by Byzantine routing. */
  'source-flood': (me, perSecond) =>
    flood(me, perSecond ?? 1_000, {
      service: SERVICE_BEST_EFFORT,
      dissemination: DISSEMINATION_BYZANTINE,
      ttl: TTL_DEFAULT,
      priority: PRIORITY_DEFAULT,
    }),

  /**
   * A28: data on paths and of epochs that it makes up, through its neighbours, which nobody
   * acknowledges.
   */
  'probe-exhaustion': (me, perSecond) => {
    const packet = new Packet(),
      bytes = new Uint8Array(400);
    const { primitives } = me.host.membership!;
    me.every(perSecond ?? 500, () => {
      const others = me.host.world.hosts.map(({ id }) => id).filter((id) => id !== me.id);
      const [first] = me.rng.shuffle(me.neighbours);
      if (first === undefined || others.length < 2) return;
      const route = [
        first,
        ...me.rng.shuffle(others.filter((id) => id !== first)).slice(0, 1 + me.rng.below(2)),
      ];
      const id = pathId(primitives, [me.id, ...route]),
        destination = route.at(-1)!;
      const sealedBytes = TAG_BYTES + 50;
      const sealed = encodeProbedHead(
        {
          epoch: me.rng.below(2 ** 32),
          pathHigh: getU32(id, 0),
          pathLow: getU32(id, 4),
          counter: me.rng.below(2 ** 32),
          pieceIndex: 0,
          pieceCount: 1,
          route,
          sealedBytes,
        },
        bytes,
        OVERLAY_HEADER_BYTES,
      );
      const end = sealed + sealedBytes + TAIL_LAST_BYTES;
      putU32(bytes, sealed + sealedBytes, destination);
      packet.compose(
        bytes,
        0,
        end,
        KIND_PROBED,
        {
          service: SERVICE_BEST_EFFORT,
          dissemination: DISSEMINATION_BYZANTINE,
          ttl: TTL_DEFAULT,
          priority: PRIORITY_DEFAULT,
        },
        me.id,
        0,
        destination,
        0,
      );
      me.sendPacket(first, packet);
    });
    return {};
  },

  /**
   * Link-state packets in the names of others: of a node that is there, of its own neighbour, of
   * 400 that are not.
   */
  'forged-sources': (me, perSecond) => {
    const packet = new Packet(),
      bytes = new Uint8Array(OVERLAY_HEADER_BYTES + FORGED_BYTES);
    const modes = {
      service: SERVICE_RELIABLE,
      dissemination: DISSEMINATION_LINK_STATE,
      ttl: TTL_DEFAULT,
      priority: PRIORITY_DEFAULT,
    };
    let sent = 0;
    inGroups(me, perSecond ?? 1_000, (group) => {
      const others = honest(me),
        to = others[me.rng.below(others.length)]!,
        link = me.node.router.nextHop(to);
      for (let i = 0; i < group && link?.up === true; i += 1) {
        sent += 1;
        const names = [
          others[me.rng.below(others.length)]!,
          me.neighbours[0] ?? to,
          MADE_UP + (sent % 400),
        ];
        packet.compose(
          bytes,
          0,
          bytes.length,
          KIND_DATAGRAM,
          modes,
          names[sent % names.length]!,
          9,
          to,
          9,
        );
        link.offer(packet);
      }
    });
    return {};
  },

  /**
   * Probed packets in the names of others, on made-up paths that lead through itself and on over
   * links that are there.
   */
  'forged-paths': (me, perSecond) => {
    const packet = new Packet(),
      bytes = new Uint8Array(PACKET_BYTES_MAX);
    const { primitives } = me.host.membership!,
      modes = {
        service: SERVICE_RELIABLE,
        dissemination: DISSEMINATION_BYZANTINE,
        ttl: TTL_DEFAULT,
        priority: PRIORITY_DEFAULT,
      };
    let sent = 0;
    inGroups(me, perSecond ?? 1_000, (group) => {
      const others = honest(me),
        source = others[me.rng.below(others.length)]!,
        route = walkFrom(me, 2 + me.rng.below(4)),
        first = route[1];
      if (first === undefined || route.includes(source)) return;
      if (me.rng.chance(0.3)) route.push(MADE_UP);
      const id = pathId(primitives, [source, ...route]),
        destination = route.at(-1)!;
      for (let i = 0; i < group; i += 1) {
        sent += 1;
        const at = encodeProbedHead(
          {
            epoch: 1,
            pathHigh: getU32(id, 0),
            pathLow: getU32(id, 4),
            counter: sent,
            mayWait: false,
            pieceIndex: 0,
            pieceCount: 1,
            route,
            sealedBytes: FORGED_BYTES,
          },
          bytes,
          OVERLAY_HEADER_BYTES,
        );
        putU32(bytes, at + FORGED_BYTES, destination);
        packet.compose(
          bytes,
          0,
          at + FORGED_BYTES + TAIL_LAST_BYTES,
          KIND_PROBED,
          modes,
          source,
          0,
          destination,
          0,
        );
        me.sendPacket(first, packet);
      }
    });
    return {};
  },
};
