/**
 * Putting fragmented datagrams together again at the destination, within bounds that no stranger
 * uses up for others.
 *
 * The caller names messages by numbers (source, ports, message number); pieces come in trains, so a
 * text is made of them once a train. A message takes memory as its pieces arrive, so that whoever
 * sends one piece of a long one holds one. When all is taken somebody gives way: of the two kinds
 * of origins (origin.ts) the one that has more than half; in it the group that has most; in that a
 * source that has more than a long message or two and most of these, its oldest message first; and
 * where nobody has so much, as when sources are made up, the message of which no piece came for
 * longest. So one that keeps coming stays, whoever else sends pieces by the same link. Messages
 * time out, and are counted for each source.
 */

import type { NodeId, Port } from '../base/ids.ts';
import { SECOND, Timer, type Clock, type Micros, type Timers } from '../base/time.ts';
import { DropReason, type DropCounters } from '../wire/drop.ts';
import { MESSAGE_BYTES_MAX } from '../wire/fragment.ts';
import { groupOf, type Origin } from './origin.ts';

/** A message of which no piece arrived for this long is given up. */
export const REASSEMBLY_TIMEOUT: Micros = 5 * SECOND;
/**
 * A window of small messages, some of whose pieces are being sent again; bytes bound the long ones.
 */
const PER_SOURCE_MAX = 1_024;
/** Charged to each message on top of its pieces. */
const MESSAGE_OVERHEAD_BYTES = 512;
/** A source that holds more is asked first to give way. */
const MODEST_BYTES = 2 * (MESSAGE_BYTES_MAX + MESSAGE_OVERHEAD_BYTES);

/** What a message is called; no two at a time have the same. */
export interface MessageName {
  /** Messages of two kinds never meet. */
  readonly kind: number;
  readonly source: NodeId;
  readonly port: Port;
  readonly number: number;
  /** What else tells it from others of that number, as one number below 2^53. */
  readonly detail: number;
}

interface Partial {
  readonly name: MessageName;
  readonly key: string;
  readonly of: Source;
  readonly pieceBytes: number;
  /** Pieces in the order of their arrival, `capacity` of them at most. */
  bytes: Uint8Array;
  capacity: number;
  /** By index: the place in `bytes`, from 1 on; 0: missing. */
  readonly places: Uint8Array;
  have: number;
  /** They came in their order so far. */
  inOrder: boolean;
  length: number;
  deadline: Micros;
}

/** Each level holds its messages, the one first of which no piece came for longest. */
interface Level {
  bytes: number;
  readonly partials: Map<string, Partial>;
}
interface Source extends Level {
  readonly id: NodeId;
  readonly group: Group;
}
interface Group extends Level {
  readonly id: NodeId;
  readonly kind: Kind;
  readonly sources: Map<NodeId, Source>;
  readonly greedy: Set<Source>;
}
interface Kind {
  bytes: number;
  readonly groups: Map<NodeId, Group>;
}

export class Reassembly {
  readonly limitBytes: number;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #drops: DropCounters;
  readonly #all: Level = { bytes: 0, partials: new Map() };
  readonly #kinds = { proved: makeKind(), claimed: makeKind() };
  /** Of which a piece came last. */
  #latest: Partial | null = null;
  readonly #timer = new Timer(() => this.#expire());

  constructor(limitBytes: number, clock: Clock, timers: Timers, drops: DropCounters) {
    this.limitBytes = limitBytes;
    this.#clock = clock;
    this.#timers = timers;
    this.#drops = drops;
  }

  get bytes(): number {
    return this.#all.bytes;
  }

  get messages(): number {
    return this.#all.partials.size;
  }

  /**
   * Piece `index` of `count` of the message called `name` is `b[start..end)`; all pieces but the
   * last have `pieceBytes` (checked by the caller). Returns the whole message when it was the last
   * missing piece.
   */
  onPiece(
    name: MessageName,
    origin: Origin,
    index: number,
    count: number,
    pieceBytes: number,
    b: Uint8Array,
    start: number,
    end: number,
  ): Uint8Array | null {
    const partial = this.#find(name) ?? this.#open(name, origin, count, pieceBytes);
    if (partial.places.length !== count) {
      this.#drops.count(DropReason.fragmentMalformed);
      return null;
    }
    if (partial.places[index] !== 0) {
      this.#drops.count(DropReason.fragmentDuplicate);
      return null;
    }
    this.#touch(partial);
    if (partial.have === partial.capacity && !this.#grow(partial)) return null;
    partial.bytes.set(b.subarray(start, end), partial.have * pieceBytes);
    if (index !== partial.have) partial.inOrder = false;
    partial.have += 1;
    partial.places[index] = partial.have;
    partial.length += end - start;
    partial.deadline = this.#clock.now() + REASSEMBLY_TIMEOUT;
    if (partial.have < count) return null;
    this.#remove(partial);
    return wholeOf(partial);
  }

  stop(): void {
    this.#timers.cancel(this.#timer);
    for (const partial of this.#all.partials.values()) this.#remove(partial);
  }

  #find(name: MessageName): Partial | undefined {
    const latest = this.#latest;
    return latest !== null && isSame(latest.name, name)
      ? latest
      : this.#all.partials.get(keyOf(name));
  }

  #open(name: MessageName, origin: Origin, count: number, pieceBytes: number): Partial {
    const of = this.#sourceOf(origin);
    if (of.partials.size >= PER_SOURCE_MAX) this.#giveUp(oldest(of), DropReason.fragmentTableFull);
    const key = keyOf(name);
    const partial: Partial = {
      name: { ...name },
      key,
      of,
      pieceBytes,
      bytes: new Uint8Array(0),
      capacity: 0,
      places: new Uint8Array(count),
      have: 0,
      inOrder: true,
      length: 0,
      deadline: this.#clock.now() + REASSEMBLY_TIMEOUT,
    };
    for (const level of [this.#all, of.group, of]) level.partials.set(key, partial);
    this.#charge(partial, MESSAGE_OVERHEAD_BYTES);
    if (!this.#timer.armed) this.#timers.arm(this.#timer, partial.deadline);
    return partial;
  }

  #sourceOf(origin: Origin): Source {
    const kind = origin.authenticated ? this.#kinds.proved : this.#kinds.claimed,
      id = groupOf(origin);
    let group = kind.groups.get(id);
    if (group === undefined)
      kind.groups.set(
        id,
        (group = {
          id,
          kind,
          bytes: 0,
          partials: new Map(),
          sources: new Map(),
          greedy: new Set(),
        }),
      );
    let source = group.sources.get(origin.source);
    if (source === undefined)
      group.sources.set(
        origin.source,
        (source = { id: origin.source, group, bytes: 0, partials: new Map() }),
      );
    return source;
  }

  /** A piece of it came. */
  #touch(partial: Partial): void {
    if (partial === this.#latest) return;
    this.#latest = partial;
    for (const { partials } of [this.#all, partial.of.group, partial.of]) {
      partials.delete(partial.key);
      partials.set(partial.key, partial);
    }
  }

  /** Room for as many pieces again as it has; false when it had to give way itself. */
  #grow(partial: Partial): boolean {
    const capacity = Math.min(partial.places.length, Math.max(1, 2 * partial.capacity));
    this.#charge(partial, (capacity - partial.capacity) * partial.pieceBytes);
    partial.capacity = capacity;
    while (this.#all.bytes > this.limitBytes) {
      const victim = this.#victim();
      this.#giveUp(victim, DropReason.fragmentTableFull);
      if (victim === partial) return false;
    }
    const bytes = new Uint8Array(capacity * partial.pieceBytes);
    bytes.set(partial.bytes);
    partial.bytes = bytes;
    return true;
  }

  /** Who gives way: see the head of this file. */
  #victim(): Partial {
    const { proved, claimed } = this.#kinds;
    const group = largest((proved.bytes > claimed.bytes ? proved : claimed).groups.values())!;
    return oldest(largest(group.greedy) ?? group);
  }

  #giveUp(partial: Partial, reason: DropReason): void {
    this.#drops.count(reason);
    this.#remove(partial);
  }

  #remove(partial: Partial): void {
    const { of, key } = partial,
      { group } = of;
    if (this.#latest === partial) this.#latest = null;
    for (const level of [this.#all, group, of]) level.partials.delete(key);
    this.#charge(partial, -MESSAGE_OVERHEAD_BYTES - partial.capacity * partial.pieceBytes);
    if (of.partials.size === 0) group.sources.delete(of.id);
    if (group.partials.size === 0) group.kind.groups.delete(group.id);
  }

  #charge({ of }: Partial, bytes: number): void {
    for (const level of [this.#all, of.group.kind, of.group, of]) level.bytes += bytes;
    if (of.bytes > MODEST_BYTES) of.group.greedy.add(of);
    else of.group.greedy.delete(of);
  }

  #expire(): void {
    const now = this.#clock.now();
    for (const partial of this.#all.partials.values()) {
      if (partial.deadline > now) {
        this.#timers.arm(this.#timer, partial.deadline);
        return;
      }
      this.#giveUp(partial, DropReason.fragmentTimedOut);
    }
  }
}

function isSame(a: MessageName, b: MessageName): boolean {
  return (
    a.number === b.number &&
    a.source === b.source &&
    a.port === b.port &&
    a.detail === b.detail &&
    a.kind === b.kind
  );
}

function keyOf({ kind, source, port, number, detail }: MessageName): string {
  return `${kind} ${source} ${port} ${number} ${detail}`;
}

function makeKind(): Kind {
  return { bytes: 0, groups: new Map() };
}

function largest<T extends { readonly bytes: number }>(of: Iterable<T>): T | null {
  let most: T | null = null;
  for (const one of of) if (most === null || one.bytes > most.bytes) most = one;
  return most;
}

function oldest({ partials }: Level): Partial {
  for (const partial of partials.values()) return partial;
  throw new Error('nobody holds nothing');
}

function wholeOf({ bytes, places, pieceBytes, length, inOrder }: Partial): Uint8Array {
  if (inOrder) return bytes.subarray(0, length);
  const whole = new Uint8Array(length);
  places.forEach((place, index) => {
    const at = (place - 1) * pieceBytes;
    whole.set(
      bytes.subarray(at, at + Math.min(pieceBytes, length - index * pieceBytes)),
      index * pieceBytes,
    );
  });
  return whole;
}
