/**
 * Revocation lists between this node and one neighbour, while the link is up: telling, fetching and
 * serving.
 *
 * Owns what the neighbour is known to hold, the one list that is being fetched from it and the
 * parts that it waits for; whether a list is wanted and true decides the hub (RevocationExchange).
 * What a neighbour can make us keep is one list, and what it can make us send is bounded by a
 * budget. A lost frame must cost little time, therefore offers and questions go out more than once
 * at first: they are small, and a list is rare.
 *
 *        neighbour offers a newer list      last part
 *     idle ─────────────────────────▶ fetching ─────▶ the hub judges ──▶ idle
 *       ▲  (unless another neighbour       │
 *       │   is at it, for PATIENCE)        │
 *       └──────── silence, or offered a newer one still
 */

import { hex } from '../base/bytes.ts';
import { MILLISECOND, NEVER, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { NodeId } from '../base/ids.ts';
import type { RevocationList } from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import {
  FRAME_REVOCATION_OFFER,
  FRAME_REVOCATION_PART,
  FRAME_REVOCATION_WANT,
} from '../wire/frames.ts';
import {
  allParts,
  decodeRevocationOffer,
  decodeRevocationPart,
  decodeRevocationWant,
  encodeRevocationOffer,
  encodeRevocationPart,
  encodeRevocationWant,
  partsOf,
  REVOCATION_ENTRIES_MAX,
  REVOCATION_PART_BYTES,
  REVOCATION_WANT_BYTES,
  revocationOfferBytes,
  revocationPartFrameBytes,
  type ListName,
  type RevocationEntry,
} from '../wire/revocation.ts';

/** As much of a link as the exchange needs. */
export interface RevocationLink {
  readonly node: NodeId;
  readonly channel: { readonly buffer: Uint8Array } | null;
  readonly liveness: {
    readonly rtt: { readonly smoothedUs: Micros; readonly variationUs: Micros };
    readonly lossOut: number;
  };
  control(type: number, bodyBytes: number): number;
}

/** What a neighbour's offer is to us. */
export type OfferVerdict = 'wanted' | 'held' | 'unknown-authority' | 'distrusted';

/** What all neighbours share. */
export interface RevocationHub {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Ascending by authority. */
  readonly lists: readonly RevocationList[];
  /** The list held of an authority, by its id in hexadecimal digits. */
  find(authority: string): RevocationList | undefined;
  judge(peer: RevocationPeer, list: ListName): OfferVerdict;
  /** Whether a neighbour other than `peer` is being asked for this very list. */
  fetchedElsewhere(peer: RevocationPeer, list: ListName): boolean;
  /** A whole list came from `peer`; says nothing about what is in it. */
  onList(peer: RevocationPeer, name: ListName, bytes: Uint8Array): void;
  count(reason: DropReason): void;
}

/**
 * An offer that is not answered is repeated after this long, then after half as long again, and so
 * on.
 */
const OFFER_PAUSE: Micros = 20 * MILLISECOND;
const OFFER_GROWTH = 1.5;
const OFFER_PAUSE_MAX: Micros = 5_000 * MILLISECOND;
/**
 * With so many offers of a new list goes the list itself, if it fits one part: within 0.3 s, one
 * loss in five takes all once in 15,000 times.
 */
const PUSHES = 6;
/**
 * A list that is being fetched from one neighbour is fetched from another, too, when it is not here
 * after this long.
 */
const PATIENCE: Micros = 250 * MILLISECOND;
const WANT_COPIES = 2;
const WANT_COPY_AFTER: Micros = 10 * MILLISECOND;
const RETRY_MIN: Micros = 40 * MILLISECOND;
const RETRY_MAX: Micros = 1_000 * MILLISECOND;
/**
 * Once parts arrive, silence of this long (and more on links that are slow or unsteady) means that
 * the rest was lost.
 */
const SILENCE: Micros = 30 * MILLISECOND;
/** So many questions in a row without an answer end a transfer. */
const FRUITLESS_MAX = 8;
/** Parts leave four at a time, at most 9 Mbit/s. */
const BATCH = 4;
const BATCH_PAUSE: Micros = 5 * MILLISECOND;
/**
 * A question that follows a part faster than the round trip and this cannot know that the part was
 * lost.
 */
const REPEAT_MARGIN: Micros = 15 * MILLISECOND;
/** From this loss on every part is sent twice. */
const LOSSY = 0.03;
/**
 * Parts served to one neighbour: the longest list three times in a row, then one every 200 ms or
 * so.
 */
const PARTS_PER_SECOND = 100,
  PARTS_BURST = 96;
/** Lists verified for one neighbour: as many as it can hold at once, then one a second. */
const VERIFICATIONS_PER_SECOND = 1;

interface Transfer {
  readonly entry: RevocationEntry;
  readonly bytes: Uint8Array;
  /** Bit i: part i is not here yet. */
  missing: number;
  /** Times that the question will be repeated without waiting for the answer. */
  copies: number;
  fruitless: number;
  /** When the newest part came, 0 = none yet, and about how long after the one before. */
  heardAt: Micros;
  spacing: Micros;
}

interface Serving {
  readonly list: RevocationList;
  /** By index, when sent last; -1 = never. */
  readonly sentAt: Micros[];
  /** Parts to send, one after the other. */
  readonly queue: number[];
}

export class RevocationPeer {
  readonly link: RevocationLink;
  /** For whoever judges lists of this neighbour. */
  readonly verifications = new TokenBucket(VERIFICATIONS_PER_SECOND, REVOCATION_ENTRIES_MAX);
  readonly #hub: RevocationHub;
  /**
   * Highest number of each authority that the neighbour has said it holds. Trusted authorities
   * only.
   */
  readonly #known = new Map<string, number>();
  /** What the neighbour offers and we lack. */
  readonly #offered = new Map<
    string,
    { readonly entry: RevocationEntry; readonly since: Micros }
  >();
  readonly #serveBudget = new TokenBucket(PARTS_PER_SECOND, PARTS_BURST);
  readonly #offerTimer = new Timer(() => this.#offer());
  readonly #fetchTimer = new Timer(() => this.#fetch());
  readonly #wantTimer = new Timer(() => this.#onSilence());
  readonly #serveTimer = new Timer(() => this.#serve());
  #pause = OFFER_PAUSE;
  #pushes = 0;
  #transfer: Transfer | null = null;
  #serving: Serving | null = null;
  partsSent = 0;

  constructor(link: RevocationLink, hub: RevocationHub) {
    this.link = link;
    this.#hub = hub;
  }

  /** The link came up. */
  start(): void {
    this.#offer();
  }

  /** The link went down. */
  stop(): void {
    for (const timer of [this.#offerTimer, this.#fetchTimer, this.#wantTimer, this.#serveTimer])
      this.#hub.timers.cancel(timer);
    this.#transfer = null;
    this.#offered.clear();
    this.#serving = null;
  }

  /**
   * We hold a new list: the neighbour is told at once, also if it was the one who had it, so that
   * it knows.
   */
  announce(): void {
    this.#pause = OFFER_PAUSE;
    this.#pushes = PUSHES;
    if (this.#behind) this.#offer();
    else this.#sendOffer(false);
  }

  /** What we hold, or whom we trust, is not what it was: lets go of what is not wanted any more. */
  review(): void {
    if (this.#transfer !== null && this.#hub.judge(this, this.#transfer.entry) !== 'wanted')
      this.#abandon();
    this.#fetch();
  }

  /** The neighbour is not believed about this authority: nothing that it said of it counts. */
  forget(authority: string): void {
    this.#known.delete(authority);
    this.#offered.delete(authority);
    if (this.#transfer?.entry.authority === authority) this.#abandon();
  }

  /** True while the neighbour is being asked for this very list. */
  fetches({ authority, number }: ListName): boolean {
    return (
      this.#transfer !== null &&
      this.#transfer.entry.authority === authority &&
      this.#transfer.entry.number === number
    );
  }

  onFrame(type: number, bytes: Uint8Array, start: number, end: number): void {
    const reason =
      type === FRAME_REVOCATION_OFFER
        ? this.#onOffer(bytes, start, end)
        : type === FRAME_REVOCATION_WANT
          ? this.#onWant(bytes, start, end)
          : this.#onPart(bytes, start, end);
    if (reason !== DropReason.none) this.#hub.count(reason);
  }

  /* -------------------------------------------------------------- telling */

  /** Whether the neighbour may lack something that we hold. */
  get #behind(): boolean {
    return this.#hub.lists.some((list) => this.#lacks(list));
  }

  #lacks(list: RevocationList): boolean {
    return list.number > (this.#known.get(hex(list.authority)) ?? -1);
  }

  #offer(): void {
    const { clock, timers } = this.#hub;
    timers.cancel(this.#offerTimer);
    if (!this.#behind) return;
    // In front of the offer: whoever has the list then need not ask for it.
    if (this.#pushes > 0) this.#push();
    this.#sendOffer(true);
    timers.arm(this.#offerTimer, clock.now() + this.#pause);
    this.#pause = Math.min(OFFER_PAUSE_MAX, Math.round(OFFER_GROWTH * this.#pause));
  }

  #push(): void {
    this.#pushes -= 1;
    for (const list of this.#hub.lists) {
      if (list.bytes.length <= REVOCATION_PART_BYTES && this.#lacks(list)) this.#sendPart(list, 0);
    }
  }

  #sendOffer(asks: boolean): void {
    const { lists } = this.#hub;
    if (lists.length === 0) return;
    const at = this.link.control(FRAME_REVOCATION_OFFER, revocationOfferBytes(lists.length));
    if (at >= 0) encodeRevocationOffer(asks, lists, this.link.channel!.buffer, at);
  }

  #onOffer(bytes: Uint8Array, start: number, end: number): DropReason {
    const offer = decodeRevocationOffer(bytes, start, end);
    if (typeof offer === 'number') return offer;
    const now = this.#hub.clock.now();
    let reason: DropReason = DropReason.none;
    let answer = false;
    for (const entry of offer.entries) {
      const { authority, number } = entry;
      const verdict = this.#hub.judge(this, entry);
      if (verdict === 'unknown-authority') reason = DropReason.certificateUnknownAuthority;
      else if (verdict === 'distrusted') reason = DropReason.revocationOverBudget;
      else {
        this.#known.set(authority, Math.max(number, this.#known.get(authority) ?? -1));
        if (verdict === 'held') answer = true;
        else if (this.#offered.get(authority)?.entry.number !== number)
          this.#offered.set(authority, { entry, since: now });
      }
    }
    if (answer && offer.asks) this.#sendOffer(false);
    if (!this.#behind) this.#hub.timers.cancel(this.#offerTimer);
    this.#fetch();
    return reason;
  }

  /* -------------------------------------------------------------- fetching */

  /** Begins the next transfer, if there is one to begin. */
  #fetch(): void {
    const { clock, timers } = this.#hub;
    const current = this.#transfer?.entry;
    if (current !== undefined) {
      // Nobody serves a list that it has replaced.
      if ((this.#offered.get(current.authority)?.entry.number ?? 0) <= current.number) return;
      this.#abandon();
    }
    timers.cancel(this.#fetchTimer);
    let waitUntil = NEVER;
    for (const [authority, { entry, since }] of this.#offered) {
      if (this.#hub.judge(this, entry) !== 'wanted') this.#offered.delete(authority);
      else if (clock.now() < since + PATIENCE && this.#hub.fetchedElsewhere(this, entry))
        waitUntil = Math.min(waitUntil, since + PATIENCE);
      else {
        this.#transfer = {
          entry,
          bytes: new Uint8Array(entry.length),
          missing: allParts(entry.length),
          copies: 0,
          fruitless: 0,
          heardAt: 0,
          spacing: 0,
        };
        this.#want(this.#transfer);
        return;
      }
    }
    if (waitUntil !== NEVER) timers.arm(this.#fetchTimer, waitUntil);
  }

  #want(transfer: Transfer): void {
    transfer.copies = WANT_COPIES;
    transfer.heardAt = 0;
    this.#sendWant(transfer);
  }

  #sendWant(transfer: Transfer): void {
    const { clock, timers } = this.#hub;
    const { entry, missing } = transfer;
    const at = this.link.control(FRAME_REVOCATION_WANT, REVOCATION_WANT_BYTES);
    if (at >= 0) encodeRevocationWant({ ...entry, missing }, this.link.channel!.buffer, at);
    transfer.copies -= 1;
    timers.arm(
      this.#wantTimer,
      clock.now() + (transfer.copies > 0 ? WANT_COPY_AFTER : this.#retryAfter(transfer)),
    );
  }

  #retryAfter({ fruitless }: Transfer): Micros {
    const { smoothedUs, variationUs } = this.link.liveness.rtt;
    const patience = Math.max(
      RETRY_MIN,
      Math.round(1.5 * smoothedUs + 4 * variationUs) + BATCH_PAUSE,
    );
    return Math.min(RETRY_MAX, patience * (1 << Math.min(fruitless, 4)));
  }

  #onSilence(): void {
    const transfer = this.#transfer;
    if (transfer === null) return;
    if (transfer.copies > 0) {
      this.#sendWant(transfer);
      return;
    }
    if (transfer.heardAt === 0) transfer.fruitless += 1;
    if (transfer.fruitless < FRUITLESS_MAX) {
      this.#want(transfer);
      return;
    }
    // Whoever really has it offers it again.
    this.#offered.delete(transfer.entry.authority);
    this.#abandon();
    this.#fetch();
  }

  #abandon(): void {
    this.#transfer = null;
    this.#hub.timers.cancel(this.#wantTimer);
  }

  #onPart(bytes: Uint8Array, start: number, end: number): DropReason {
    const part = decodeRevocationPart(bytes, start, end);
    if (typeof part === 'number') return part;
    const transfer = this.#transfer;
    if (transfer !== null && this.fetches(part) && transfer.entry.length === part.length) {
      this.#take(transfer, part.index, part.bytes);
      return DropReason.none;
    }
    // A list of one part may come unasked. Parts of others are late: what they are for is complete,
    // or given up.
    if (partsOf(part.length) > 1) return DropReason.none;
    const verdict = this.#hub.judge(this, part);
    if (verdict === 'distrusted') return DropReason.revocationOverBudget;
    if (verdict === 'unknown-authority') return DropReason.certificateUnknownAuthority;
    if (verdict === 'wanted') this.#complete(part, part.bytes);
    return DropReason.none;
  }

  #take(transfer: Transfer, index: number, bytes: Uint8Array): void {
    const bit = 1 << index;
    if ((transfer.missing & bit) === 0) return;
    transfer.missing &= ~bit;
    transfer.bytes.set(bytes, index * REVOCATION_PART_BYTES);
    if (transfer.missing === 0) {
      this.#abandon();
      this.#complete(transfer.entry, transfer.bytes);
      this.#fetch();
      return;
    }
    const { clock, timers } = this.#hub;
    const now = clock.now();
    if (transfer.heardAt > 0)
      transfer.spacing = Math.max(now - transfer.heardAt, Math.round(0.75 * transfer.spacing));
    transfer.heardAt = now;
    transfer.copies = 0;
    transfer.fruitless = 0;
    timers.arm(
      this.#wantTimer,
      now + SILENCE + Math.round(2 * this.link.liveness.rtt.variationUs) + 2 * transfer.spacing,
    );
  }

  #complete(name: ListName, bytes: Uint8Array): void {
    this.#offered.delete(name.authority);
    this.#known.set(name.authority, Math.max(name.number, this.#known.get(name.authority) ?? -1));
    this.#hub.onList(this, name, bytes);
  }

  /* -------------------------------------------------------------- serving */

  #onWant(bytes: Uint8Array, start: number, end: number): DropReason {
    const want = decodeRevocationWant(bytes, start, end);
    if (typeof want === 'number') return want;
    const list = this.#hub.find(want.authority);
    if (list === undefined || list.number < want.number) return DropReason.none;
    if (list.number > want.number) {
      this.#sendOffer(false);
      return DropReason.none;
    }
    if (this.#serving?.list !== list)
      this.#serving = {
        list,
        sentAt: Array.from({ length: partsOf(list.bytes.length) }, () => -1),
        queue: [],
      };
    this.#enqueue(this.#serving, want.missing);
    if (!this.#serveTimer.armed) this.#serve();
    return DropReason.none;
  }

  #enqueue({ sentAt, queue }: Serving, missing: number): void {
    const { rtt, lossOut } = this.link.liveness;
    const now = this.#hub.clock.now();
    const asked: number[] = [];
    for (let index = 0; index < sentAt.length; index += 1) {
      const recent = sentAt[index]! >= 0 && now - sentAt[index]! < rtt.smoothedUs + REPEAT_MARGIN;
      if ((missing & (1 << index)) !== 0 && !recent && !queue.includes(index)) asked.push(index);
    }
    // One copy of all first: what takes away a burst then takes no part twice.
    queue.push(...asked);
    if (lossOut >= LOSSY) queue.push(...asked);
    queue.push(...asked.filter((index) => sentAt[index]! >= 0));
  }

  #serve(): void {
    const { clock, timers } = this.#hub;
    const serving = this.#serving;
    if (serving === null) return;
    const now = clock.now();
    for (let i = 0; i < BATCH && serving.queue.length > 0; i += 1) {
      // Copies must not share a datagram.
      if (serving.sentAt[serving.queue[0]!] === now) break;
      if (!this.#serveBudget.take(now)) {
        serving.queue.length = 0;
        this.#hub.count(DropReason.revocationOverBudget);
        return;
      }
      const index = serving.queue.shift()!;
      serving.sentAt[index] = now;
      this.#sendPart(serving.list, index);
    }
    if (serving.queue.length > 0) timers.arm(this.#serveTimer, now + BATCH_PAUSE);
  }

  #sendPart({ authority, number, bytes }: RevocationList, index: number): void {
    const at = this.link.control(
      FRAME_REVOCATION_PART,
      revocationPartFrameBytes(bytes.length, index),
    );
    if (at < 0) return;
    encodeRevocationPart(authority, number, bytes, index, this.link.channel!.buffer, at);
    this.partsSent += 1;
  }
}
