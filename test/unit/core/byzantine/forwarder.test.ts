/**
 * What a probe waits for is bounded: by source, and over all. At a bound the oldest of whoever has
 * most is answered as if its time were over, towards the source; nothing is forgotten in silence,
 * and sources with less lose nothing.
 */

import { describe, expect, test } from 'vitest';

import { getU32, putU32 } from '../../../../src/core/base/bytes.ts';
import { SECOND } from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import { pathId } from '../../../../src/core/byzantine/discovered-path.ts';
import {
  Forwarder,
  PENDING_MAX,
  PENDING_SOURCE_MAX,
} from '../../../../src/core/byzantine/forwarder.ts';
import { FlowKeys, type HopKeys } from '../../../../src/core/byzantine/keys.ts';
import { Onions, type TailLayer } from '../../../../src/core/byzantine/onion.ts';
import { Secret } from '../../../../src/core/crypto/keys.ts';
import type { NextHop } from '../../../../src/core/link/next-hop.ts';
import { cheapPrimitives } from '../../../../src/lab/sim/cheap-primitives.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';
import {
  DISSEMINATION_BYZANTINE,
  KIND_PROBED,
  Packet,
  PRIORITY_DEFAULT,
  SERVICE_RELIABLE,
  TTL_DEFAULT,
} from '../../../../src/core/wire/packet.ts';
import { encodeProbedHead, ProbedAck, tailBytes } from '../../../../src/core/wire/probed.ts';
import {
  OVERLAY_HEADER_BYTES,
  PACKET_BYTES_MAX,
  TAG_BYTES,
} from '../../../../src/core/wire/sizes.ts';

const PROBE = 101,
  DESTINATION = 102,
  EPOCH = 1;
const MODES = {
  service: SERVICE_RELIABLE,
  dissemination: DISSEMINATION_BYZANTINE,
  ttl: TTL_DEFAULT,
  priority: PRIORITY_DEFAULT,
};
const TIMER_US = 2 * SECOND;
const PROBE_SECRET = new Uint8Array(32).fill(7);

interface SourceState {
  counter: number;
  readonly route: readonly number[];
  readonly id: Uint8Array;
  readonly list: readonly (TailLayer & { readonly keys: HopKeys })[];
  readonly publicKey: Uint8Array;
}

function stateOf(source: number): SourceState {
  const own = new Uint8Array(32);
  putU32(own, 0, source);
  const route = [PROBE, DESTINATION];
  const id = pathId(cheapPrimitives, [source, ...route]);
  const flow = {
    source,
    destination: DESTINATION,
    epoch: EPOCH,
    pathHigh: getU32(id, 0),
    pathLow: getU32(id, 4),
  };
  const keys = new FlowKeys(cheapPrimitives).of(
    flow,
    PROBE,
    new Secret(own),
    cheapPrimitives.x25519PublicKey(PROBE_SECRET),
  )!;
  const list = [
    { id: PROBE, timerUs: TIMER_US, forward: keys.forward, keys },
    { id: DESTINATION, timerUs: 0, forward: keys.forward, keys },
  ];
  return { counter: 0, route, id, list, publicKey: cheapPrimitives.x25519PublicKey(own) };
}

/** The node PROBE on paths SOURCE, PROBE, DESTINATION of any number of sources. */
class Probe {
  now = 0;
  readonly timers = new TimerQueue();
  /** Acknowledgements sent to each source, by counter. */
  readonly answered = new Map<number, number[]>();
  passedOn = 0;
  readonly forwarder: Forwarder;
  readonly #onions = new Onions(cheapPrimitives);
  readonly #secret = new Secret(PROBE_SECRET.slice());
  readonly #sources = new Map<number, SourceState>();
  readonly #bytes = new Uint8Array(PACKET_BYTES_MAX);
  readonly #packet = new Packet();
  readonly #ack = new ProbedAck();

  constructor() {
    const back = (node: number): NextHop => ({
      node,
      up: true,
      congested: () => false,
      holds: () => false,
      queueBytesOf: () => 0,
      recall: () => {},
      offer: (packet: Packet) => {
        if (node === DESTINATION) this.passedOn += 1;
        else {
          expect(this.#ack.decode(packet.bytes, packet.payloadStart, packet.end)).toBe(
            DropReason.none,
          );
          this.answered.set(node, [...(this.answered.get(node) ?? []), this.#ack.counter]);
        }
        return DropReason.none;
      },
    });
    this.forwarder = new Forwarder({
      self: PROBE,
      clock: { now: () => this.now },
      timers: this.timers,
      primitives: cheapPrimitives,
      onions: this.#onions,
      keys: new FlowKeys(cheapPrimitives),
      secret: this.#secret,
      options: { ackBatchPackets: 1, ackBatchDelayUs: 0 },
      linkTo: back,
      keyOf: (source) => this.#source(source).publicKey,
      knows: () => true,
      onInner: () => {
        throw new Error('we are no destination');
      },
    });
  }

  /** One more packet of `source`; both behind it are probed. */
  send(source: number): void {
    const state = this.#source(source);
    const { route, list, id } = state;
    const counter = (state.counter += 1);
    const b = this.#bytes;
    const sealedStart = encodeProbedHead(
      {
        epoch: EPOCH,
        pathHigh: getU32(id, 0),
        pathLow: getU32(id, 4),
        counter,
        pieceIndex: 0,
        pieceCount: 1,
        route,
        sealedBytes: 32 + TAG_BYTES,
      },
      b,
      OVERLAY_HEADER_BYTES,
    );
    const sealedEnd = sealedStart + 32 + TAG_BYTES;
    this.#packet.compose(
      b,
      0,
      sealedEnd + tailBytes(2),
      KIND_PROBED,
      MODES,
      source,
      0,
      DESTINATION,
      0,
    );
    b.set(
      this.#onions.buildTail(this.#onions.digestOf(this.#packet, sealedEnd), list, counter),
      sealedEnd,
    );
    expect(this.forwarder.onData(this.#packet, source)).toBe(DropReason.none);
  }

  pass(us: number): void {
    this.now += us;
    this.timers.runDue(this.now);
  }

  #source(source: number): SourceState {
    let state = this.#sources.get(source);
    if (state === undefined) this.#sources.set(source, (state = stateOf(source)));
    return state;
  }
}

describe('what a probe waits for', () => {
  test(
    'is bounded for each source; ' + 'the oldest is answered at once, the others in their time',
    () => {
      const probe = new Probe();
      for (let i = 0; i < PENDING_SOURCE_MAX + 10; i += 1) probe.send(1);
      probe.send(2);
      expect(probe.passedOn).toBe(PENDING_SOURCE_MAX + 11);
      expect([probe.forwarder.pendingOf(1), probe.forwarder.pendingOf(2)]).toEqual([
        PENDING_SOURCE_MAX,
        1,
      ]);
      expect(probe.answered.get(1)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect(probe.answered.has(2)).toBe(false);
      probe.pass(TIMER_US);
      expect(probe.forwarder.pending).toBe(0);
      expect(probe.answered.get(1)).toEqual(
        Array.from({ length: PENDING_SOURCE_MAX + 10 }, (_, i) => i + 1),
      );
      expect(probe.answered.get(2)).toEqual([1]);
    },
  );

  test('is bounded over all; the source that has most loses its oldest', {
    timeout: 60_000,
  }, () => {
    const probe = new Probe();
    const sources = Math.ceil(PENDING_MAX / 4_000);
    for (let source = 1; source <= sources; source += 1) {
      for (
        let i = 0;
        i < (source === 1 ? PENDING_SOURCE_MAX : 4_000) && probe.forwarder.pending < PENDING_MAX;
        i += 1
      )
        probe.send(source);
    }
    expect(probe.forwarder.pending).toBe(PENDING_MAX);
    expect(probe.answered.size).toBe(0);
    for (let i = 0; i < 20; i += 1) probe.send(50);
    expect(probe.forwarder.pending).toBe(PENDING_MAX);
    expect(probe.forwarder.pendingOf(50)).toBe(20);
    expect([...probe.answered]).toEqual([[1, Array.from({ length: 20 }, (_, i) => i + 1)]]);
  });
});
