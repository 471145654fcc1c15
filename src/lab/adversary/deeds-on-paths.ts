/**
 * Attacks of who lies about paths.
 *
 * Deeds of adversary-deeds.ts: a few hooks each, which use an adversary's hands.
 */

import { putU32 } from '../../core/base/bytes.ts';
import type { NodeId } from '../../core/base/ids.ts';
import { MILLISECOND } from '../../core/base/time.ts';
import {
  decodeRouteRequest,
  decodeRouteResponse,
  ROUTE_HOP_BYTES,
  ROUTE_REQUEST,
  ROUTE_RESPONSE_HEAD_BYTES,
  type RouteResponse,
} from '../../core/wire/discovery.ts';
import {
  BLACK_HOLE,
  both,
  COUNT_AT,
  decodeResponse,
  KEPT_MAX,
  type Make,
  provoking,
  randomKey,
  Told,
  withResponse,
} from './deed-tools.ts';

export const PATH_DEEDS: Readonly<Record<string, Make>> = {
  /** A6: everything goes on before it is looked at. */
  rush: (me) => {
    const told = new Told(1);
    return both(
      {
        onRoute: (message, from) => {
          const request =
            message[0] === ROUTE_REQUEST ? decodeRouteRequest(message, 0, message.length) : 0;
          if (typeof request !== 'number' && told.mayTell(request)) me.floodRoute(message, [from]);
          return false;
        },
      },
      BLACK_HOLE,
    );
  },

  /** A7: with one other that does the same; what the tunnel attracts is dropped. */
  wormhole: (me) => {
    const peer =
      me.colluders.members.find(
        (other) => other !== me && other.what === me.what && !other.tunnelled,
      ) ?? null;
    if (peer !== null) {
      me.colluders.tunnel(me.host, peer.host);
      me.tunnelled = peer.tunnelled = true;
    }
    const open = (): boolean => me.tunnelled;
    return { onData: open, onTransit: open };
  },

  /** A8: tunnels from each to each. */
  'super-wormhole': (me) => {
    for (const other of me.colluders.members)
      if (other !== me && other.what === me.what) me.colluders.tunnel(me.host, other.host);
    return BLACK_HOLE;
  },

  /** A9: responses go on shorter than they came, as they are and with a hop of its own behind. */
  'hop-deletion': (me) =>
    both(
      withResponse(({ bytes, hops }) => {
        if (hops.length === 0) return false;
        const left = me.rng.below(hops.length);
        const short = bytes.slice(0, ROUTE_RESPONSE_HEAD_BYTES + left * ROUTE_HOP_BYTES);
        short[COUNT_AT] = left;
        me.floodRoute(short);
        const cut = decodeRouteResponse(short, 0, short.length);
        if (typeof cut !== 'number') me.floodRoute(me.hopBehind(cut, randomKey(me)));
        return true;
      }),
      BLACK_HOLE,
    ),

  /**
   * A10: says to be the destination's neighbour, and that others are its own; signs for nodes that
   * do not exist.
   */
  'forge-path': (me) =>
    both(
      withResponse(({ bytes }) => {
        const head = bytes.slice(0, ROUTE_RESPONSE_HEAD_BYTES);
        head[COUNT_AT] = 0;
        const bare = decodeRouteResponse(head, 0, head.length);
        if (typeof bare === 'number') return false;
        me.floodRoute(me.hopBehind(bare, randomKey(me)));
        for (const other of me.colluders.members) {
          if (other === me) continue;
          const joint = decodeResponse(other.hopBehind(bare, randomKey(me)));
          if (joint !== null) me.floodRoute(me.hopBehind(joint, randomKey(me)));
        }
        const sybil = decodeResponse(me.hopBehind(bare, randomKey(me)));
        if (sybil !== null) {
          putU32(sybil.bytes, ROUTE_RESPONSE_HEAD_BYTES, 0x0b00_0000 + me.rng.below(1 << 20));
          const known = decodeResponse(sybil.bytes);
          if (known !== null) me.floodRoute(me.hopBehind(known, randomKey(me)));
        }
        return false;
      }),
      BLACK_HOLE,
    ),

  /** Signs a key that gives no secret, a key that it has no secret of, or that of another hop. */
  'bad-key': (me) =>
    both(
      provoking(me),
      withResponse((response) => {
        if (response.hops.some(({ node }) => node === me.id)) return true;
        const keys = [new Uint8Array(32), randomKey(me), response.key];
        me.floodRoute(
          me.hopBehind(response, keys[me.rng.below(keys.length)]!),
          response.hops.map(({ node }) => node),
        );
        return true;
      }),
    ),

  /** A21: keeps responses back and tells them from the heaviest to the lightest. */
  staircase: (me) => {
    let held: { readonly response: RouteResponse; readonly from: NodeId }[] = [];
    return withResponse((response, from) => {
      if (held.length >= KEPT_MAX) return true;
      held.push({ response, from });
      if (held.length > 1) return true;
      me.later(30 * MILLISECOND, () => {
        const now = held.sort((x, y) => y.response.hops.length - x.response.hops.length);
        held = [];
        now.forEach((one, i) =>
          me.later(i * 6 * MILLISECOND, () =>
            me.router.discovery.onResponse(one.response.bytes, one.from),
          ),
        );
      });
      return true;
    });
  },
};
