/**
 * What a link that is up costs in memory, sealed and not: the growth of one daemon's heap and
 * buffers.
 *
 * The daemon is a SpinesNode with a sink that keeps the last datagram. Peers are bare handshakers
 * that dial it, send one empty datagram, and are forgotten before anything is weighed.
 */

import { strict as assert } from 'node:assert';
import { makeEndpoint, type DatagramSink } from '#src/core/base/datagram.js';
import { nullLog } from '#src/core/base/log.js';
import { Rng } from '#src/core/base/rng.js';
import { MILLISECOND, type Clock } from '#src/core/base/time.js';
import { TimerQueue } from '#src/core/base/timer-queue.js';
import { nodePrimitives } from '#src/host/primitives/node-primitives.js';
import { secureRandom } from '#src/host/primitives/secure-random.js';
import { Declined, type Call, type Handshaker } from '#src/core/link/handshaker.js';
import { PlainHandshaker } from '#src/core/link/plain-handshaker.js';
import { SealedHandshaker } from '#src/core/link/sealed-handshaker.js';
import { makeConfig } from '#src/core/node/config.js';
import { SpinesNode } from '#src/core/node/node.js';
import { SimAuthority } from '#src/lab/sim/sim-authority.js';
import {
  DATAGRAM_DATA,
  DATAGRAM_SEALED_DATA,
  encodeDatagramHeader,
} from '#src/core/wire/datagram-header.js';
import { DATAGRAM_BYTES_MAX, DATAGRAM_HEADER_BYTES, TAG_BYTES } from '#src/core/wire/sizes.js';
import { FIRST_ID } from './identities.js';
import { collect, median, printTable, ratios, spread } from './processes.js';
import type { Results } from './results.js';

const LINKS = 100;
/** Up before the first weighing: tables and code are there then. */
const LINKS_BEFORE = 10;

/** Bytes per link, one value a round. */
export interface MemoryFigures {
  readonly sealed: number[];
  readonly unsealed: number[];
}

class Hub {
  readonly #clock = {
    us: 1_000_000,
    now(): number {
      return this.us;
    },
  };
  readonly #authority: SimAuthority | null;
  readonly #node: SpinesNode;
  readonly #key: Uint8Array | null;
  /** Sent last. */
  #sent: Uint8Array = new Uint8Array(0);

  constructor(sealed: boolean) {
    const clock: Clock = this.#clock;
    const sink: DatagramSink = {
      congested: false,
      send: (_to, bytes, length) => {
        this.#sent = bytes.slice(0, length);
      },
    };
    this.#authority = sealed ? new SimAuthority(nodePrimitives, secureRandom) : null;
    const identity = this.#authority?.issue(FIRST_ID, 'hub') ?? null;
    this.#key = identity?.exchange.publicKey ?? null;
    this.#node = new SpinesNode(makeConfig({ id: FIRST_ID }), {
      clock,
      stopwatch: clock,
      timers: new TimerQueue(),
      rng: new Rng(1),
      random: secureRandom,
      wall: clock,
      sink,
      log: nullLog,
      emulation: null,
      listen: [],
      membership: identity === null ? null : this.#authority!.member(identity, clock),
      onShutdownRequested: () => {},
    });
    this.#node.start();
  }

  /** Another neighbour dials, and its link is up. */
  addLink(i: number): void {
    this.#clock.us += 10 * MILLISECOND;
    const id = FIRST_ID + 1 + i;
    const from = makeEndpoint(`10.1.${i >> 8}.${i & 255}`, 8100);
    const handshaker = this.#handshaker(id, `peer-${i}`);
    const call: Call = {
      node: null,
      key: this.#key,
      index: i + 1,
      attempts: 0,
      continues: 0,
      secrets: null,
    };
    const bytes = new Uint8Array(DATAGRAM_BYTES_MAX);
    this.#deliver(bytes, handshaker.writeInit(call, { instance: i, started: 0 }, bytes), from);
    const answer = this.#sent;
    const agreed = handshaker.readResponse(call, answer, answer.length);
    assert(!(agreed instanceof Declined));
    encodeDatagramHeader(
      handshaker.sealed ? DATAGRAM_SEALED_DATA : DATAGRAM_DATA,
      agreed.hello.index,
      0,
      bytes,
    );
    agreed.seal?.send.seal(0, bytes, DATAGRAM_HEADER_BYTES, DATAGRAM_HEADER_BYTES);
    this.#deliver(bytes, DATAGRAM_HEADER_BYTES + (handshaker.sealed ? TAG_BYTES : 0), from);
    assert.equal(this.#node.links.of(id)?.up, true);
    this.#node.flush();
  }

  #handshaker(id: number, name: string): Handshaker {
    if (this.#authority === null) return new PlainHandshaker(id);
    return new SealedHandshaker(
      this.#authority.member(this.#authority.issue(id, name), this.#clock),
      this.#clock,
      { congested: false, send: () => {} },
    );
  }

  #deliver(bytes: Uint8Array, length: number, from: ReturnType<typeof makeEndpoint>): void {
    this.#node.onDatagram(bytes.slice(0, length), length, from);
  }
}

/** Bytes in use after everything that can go has gone. */
function weigh(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function measure(sealed: boolean): number {
  const hub = new Hub(sealed);
  for (let i = 0; i < LINKS_BEFORE; i += 1) hub.addLink(i);
  const before = weigh();
  for (let i = 0; i < LINKS; i += 1) hub.addLink(LINKS_BEFORE + i);
  const perLink = (weigh() - before) / LINKS;
  // Still in use until here.
  hub.addLink(LINKS_BEFORE + LINKS);
  return perLink;
}

export function measureMemory(rounds: number): MemoryFigures {
  const figures: MemoryFigures = { sealed: [], unsealed: [] };
  for (let round = -1; round < rounds; round += 1) {
    const [unsealed, sealed] = [measure(false), measure(true)];
    if (round < 0) continue;
    figures.unsealed.push(unsealed);
    figures.sealed.push(sealed);
  }
  return figures;
}

export function recordMemory({ sealed, unsealed }: MemoryFigures, results: Results): void {
  results.add('memory/sealed link', 'B', ...sealed);
  results.add('memory/unsealed link', 'B', ...unsealed);
}

export function printMemory({ sealed, unsealed }: MemoryFigures): void {
  const kib = (bytes: readonly number[]): number[] => bytes.map((value) => value / 1_024);
  const rows = [['memory per link', 'KiB', 'spread', 'of unsealed']];
  for (const [name, bytes] of [
    ['unsealed', unsealed],
    ['sealed', sealed],
  ] as const) {
    rows.push([
      name,
      median(kib(bytes)).toFixed(1),
      spread(kib(bytes), 1),
      median(ratios(bytes, unsealed)).toFixed(2),
    ]);
  }
  console.log(
    `\nHeap and buffers of one daemon with ${LINKS} links up and idle, from ${LINKS_BEFORE}:`,
  );
  printTable(rows, 1);
}
