/**
 * Routers without daemons around them: virtual time, wires of 1 ms that lose nothing, and a
 * neighbour that says whatever a test wants and writes down what it is told.
 */

import { Rng } from '../../../../src/core/base/rng.ts';
import { putU16 } from '../../../../src/core/base/bytes.ts';
import { nullLog } from '../../../../src/core/base/log.ts';
import {
  MILLISECOND,
  SECOND,
  Timer,
  type Clock,
  type Micros,
} from '../../../../src/core/base/time.ts';
import { TimerQueue } from '../../../../src/core/base/timer-queue.ts';
import type { Membership } from '../../../../src/core/crypto/membership.ts';
import { LinkStateRouter } from '../../../../src/core/routing/link-state-router.ts';
import type { RoutedLink } from '../../../../src/core/routing/routed-link.ts';
import { DropCounters, DropReason } from '../../../../src/core/wire/drop.ts';
import {
  FRAME_CERTIFICATE,
  FRAME_DIGEST,
  FRAME_LINK_STATE,
  FRAME_LINK_STATE_ACK,
  FRAME_RECORD,
  FRAME_RECORD_ACK,
} from '../../../../src/core/wire/frames.ts';
import {
  CONTROL_CHECK_BYTES,
  decodeAdvertisement,
  DIGEST_HEAD_BYTES,
  DIGEST_LAST,
  LIFETIME_BYTES,
  putControlCheck,
  putVersionEntry,
  VERSION_ENTRY_BYTES,
  versionEntryOrigin,
  versionEntrySequence,
  type Advertisement,
} from '../../../../src/core/wire/link-state.ts';
import { decodeRecord, type SignedRecord } from '../../../../src/core/wire/record.ts';
import { WIRE_VERSIONS } from '../../../../src/core/wire/versions.ts';

const LATENCY: Micros = 1 * MILLISECOND;

export class Lab implements Clock {
  readonly timers = new TimerQueue();
  #now: Micros = 0;

  now(): Micros {
    return this.#now;
  }

  run(time: Micros): void {
    const until = this.#now + time;
    while (this.timers.nextAt <= until) {
      this.#now = Math.max(this.#now, this.timers.nextAt);
      this.timers.runDue(this.#now, 1);
    }
    this.#now = until;
  }

  after(time: Micros, action: () => void): void {
    this.timers.arm(new Timer(action), this.#now + time);
  }
}

/** One end of a wire: as much of a link as a router uses. */
class WireEnd implements RoutedLink {
  readonly node: number;
  readonly slot: number;
  up = true;
  readonly endpoint = { key: 'wire', address: '127.0.0.1', port: 1, local: '' };
  readonly latencyUs = LATENCY;
  readonly liveness = { rtt: { samples: 1, smoothedUs: 2 * LATENCY, variationUs: 0 }, lossOut: 0 };
  channel = { buffer: new Uint8Array(0), version: 3 };
  readonly damped = false;
  readonly #lab: Lab;
  readonly #onFrame: (type: number, bytes: Uint8Array) => void;

  constructor(
    lab: Lab,
    node: number,
    slot: number,
    onFrame: (type: number, bytes: Uint8Array) => void,
  ) {
    this.#lab = lab;
    this.node = node;
    this.slot = slot;
    this.#onFrame = onFrame;
  }

  get label(): string {
    return String(this.node);
  }

  /** Routers send control frames only. */
  offer(): DropReason {
    return DropReason.linkDown;
  }

  congested(): boolean {
    return false;
  }

  holds(): boolean {
    return false;
  }

  queueBytesOf(): number {
    return 0;
  }

  recall(): void {}

  routedLatencyUs(): Micros {
    return this.latencyUs;
  }

  routedLoss(): number {
    return this.liveness.lossOut;
  }

  control(type: number, bytes: number): number {
    const buffer = new Uint8Array(bytes);
    this.channel = { buffer, version: 3 };
    this.#lab.after(LATENCY, () => {
      if (this.up) this.#onFrame(type, buffer);
    });
    return 0;
  }
}

export class Station {
  readonly lab: Lab;
  readonly id: number;
  readonly membership: Membership | null;
  readonly drops = new DropCounters();
  readonly router: LinkStateRouter;
  readonly ends: WireEnd[] = [];
  /** What its node record says, and what it was told of others'. */
  epoch = 5;
  readonly records: [number, number | null][] = [];

  constructor(lab: Lab, id: number, membership: Membership | null, seed = id) {
    this.lab = lab;
    this.id = id;
    this.membership = membership;
    const table = {
      all: () => this.ends.values(),
      of: (node: number) => this.ends.find((end) => end.node === node),
      at: (slot: number) => this.ends[slot] ?? null,
    };
    const facts = {
      wire: WIRE_VERSIONS,
      release: { major: 1, minor: 2, patch: 3 },
      capabilities: 0,
      instance: 1_000 + seed,
      started: 7,
    };
    this.router = new LinkStateRouter(
      {
        id,
        name: `plain-${id}`,
        metric: 'hops',
        advertisementRefreshUs: 300 * SECOND,
        advertisementLifetimeUs: 1_000 * SECOND,
        keyRotationUs: 600 * SECOND,
        limits: { nodes: 1_000 },
      },
      {
        facts,
        statement: () => ({
          instance: facts.instance,
          epoch: this.epoch,
          key: new Uint8Array(32).fill(seed),
        }),
        onNodeRecord: (node, record) => {
          this.records.push([node, record?.node.epoch ?? null]);
        },
        clock: lab,
        wall: lab,
        stopwatch: lab,
        timers: lab.timers,
        rng: new Rng(seed),
        log: nullLog,
        drops: this.drops,
        membership,
        onRoutes: () => {},
        onRestart: () => {},
        onOvertaken: () => {},
      },
      table,
    );
    this.router.start();
  }

  /** A new end towards `node`, whose frames go to `onFrame`. */
  link(node: number, onFrame: (type: number, bytes: Uint8Array) => void): WireEnd {
    const end = new WireEnd(this.lab, node, this.ends.length, onFrame);
    this.ends.push(end);
    return end;
  }

  /** Without a word. */
  die(): void {
    for (const end of this.ends) this.down(end);
  }

  down(end: WireEnd): void {
    if (!end.up) return;
    end.up = false;
    this.router.onLinkState(end, false);
  }

  downTo(node: number): void {
    for (const end of this.ends) if (end.node === node) this.down(end);
  }

  /** Origins held, ours included. */
  get known(): number[] {
    return [...this.router.database.records()]
      .map(({ advertisement }) => advertisement.origin)
      .sort((a, b) => a - b);
  }
}

export function connect(a: Station, b: Station): void {
  const toB: WireEnd = a.link(b.id, (type, bytes) =>
    b.router.onControl(toA, type, bytes, 0, bytes.length),
  );
  const toA: WireEnd = b.link(a.id, (type, bytes) =>
    a.router.onControl(toB, type, bytes, 0, bytes.length),
  );
  a.router.onLinkState(toB, true);
  b.router.onLinkState(toA, true);
}

export interface Version {
  readonly origin: number;
  readonly sequence: number;
}

/** A neighbour of `station` in the hands of the test. It acknowledges nothing by itself. */
export class Stranger {
  readonly station: Station;
  readonly link: WireEnd;
  readonly heard: {
    readonly at: Micros;
    readonly lifetime: number;
    readonly advertisement: Advertisement;
  }[] = [];
  readonly acked: Version[] = [];
  readonly listed: Version[] = [];
  readonly records: SignedRecord[] = [];
  readonly recordAcks: number[] = [];
  certificates = 0;

  readonly #certificateOf: (advertisement: Uint8Array) => Uint8Array | null;

  /** `certificateOf`: what it shows before it says something; null: nothing. */
  constructor(
    station: Station,
    id: number,
    certificateOf: (advertisement: Uint8Array) => Uint8Array | null = () => null,
  ) {
    this.station = station;
    this.#certificateOf = certificateOf;
    this.link = station.link(id, (type, bytes) => this.#onFrame(type, bytes));
    station.router.onLinkState(this.link, true);
  }

  /** Shows a certificate. */
  show(certificate: Uint8Array): void {
    const frame = new Uint8Array(certificate.length + CONTROL_CHECK_BYTES);
    frame.set(certificate);
    this.#deliver(FRAME_CERTIFICATE, frame);
  }

  tell(record: Uint8Array): void {
    const frame = new Uint8Array(record.length + CONTROL_CHECK_BYTES);
    frame.set(record);
    this.#deliver(FRAME_RECORD, frame);
  }

  say(advertisement: Uint8Array, lifetime = 900): void {
    const certificate = this.#certificateOf(advertisement);
    if (certificate !== null) this.show(certificate);
    const frame = new Uint8Array(LIFETIME_BYTES + advertisement.length + CONTROL_CHECK_BYTES);
    putU16(frame, 0, lifetime);
    frame.set(advertisement, LIFETIME_BYTES);
    this.#deliver(FRAME_LINK_STATE, frame);
  }

  list(versions: readonly Version[]): void {
    const frame = new Uint8Array(
      DIGEST_HEAD_BYTES + versions.length * VERSION_ENTRY_BYTES + CONTROL_CHECK_BYTES,
    );
    frame[0] = DIGEST_LAST;
    let at = DIGEST_HEAD_BYTES;
    for (const { origin, sequence } of versions) at = putVersionEntry(frame, at, origin, sequence);
    this.#deliver(FRAME_DIGEST, frame);
  }

  acknowledge(versions: readonly Version[]): void {
    const frame = new Uint8Array(versions.length * VERSION_ENTRY_BYTES + CONTROL_CHECK_BYTES);
    let at = 0;
    for (const { origin, sequence } of versions) at = putVersionEntry(frame, at, origin, sequence);
    this.#deliver(FRAME_LINK_STATE_ACK, frame);
  }

  /** Numbers heard of `origin`, in order. */
  numbersOf(origin: number): number[] {
    return this.heard
      .filter(({ advertisement }) => advertisement.origin === origin)
      .map(({ advertisement }) => advertisement.sequence);
  }

  hasAck(origin: number, sequence: number): boolean {
    return this.acked.some((version) => version.origin === origin && version.sequence === sequence);
  }

  #deliver(type: number, frame: Uint8Array): void {
    putControlCheck(frame, 0, frame.length - CONTROL_CHECK_BYTES);
    this.station.router.onControl(this.link, type, frame, 0, frame.length);
  }

  #onFrame(type: number, bytes: Uint8Array): void {
    const end = bytes.length - CONTROL_CHECK_BYTES;
    if (type === FRAME_LINK_STATE) {
      const advertisement = decodeAdvertisement(bytes, LIFETIME_BYTES, end);
      if (typeof advertisement === 'number')
        throw new Error(`a router sent what is no advertisement: ${advertisement}`);
      this.heard.push({
        at: this.station.lab.now(),
        lifetime: bytes[0]! * 256 + bytes[1]!,
        advertisement,
      });
      return;
    }
    if (type === FRAME_CERTIFICATE) this.certificates += 1;
    if (type === FRAME_RECORD) this.records.push(decodeRecord(bytes, 0, end) as SignedRecord);
    if (type === FRAME_RECORD_ACK) this.recordAcks.push(end);
    if (type !== FRAME_DIGEST && type !== FRAME_LINK_STATE_ACK) return;
    const into = type === FRAME_DIGEST ? this.listed : this.acked;
    for (
      let at = type === FRAME_DIGEST ? DIGEST_HEAD_BYTES : 0;
      at < end;
      at += VERSION_ENTRY_BYTES
    )
      into.push({
        origin: versionEntryOrigin(bytes, at),
        sequence: versionEntrySequence(bytes, at),
      });
  }
}
