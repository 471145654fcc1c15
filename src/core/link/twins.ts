/**
 * One identity, two daemons: who runs where, and which of the two keeps its link.
 *
 * A restarted daemon and a copy of one look the same at first: the same certificate, another
 * instance. So the one that comes later is taken at once, and what was there before may still prove
 * that it lives: by answering a random token on its old channel, which nothing but a running daemon
 * can, or by a handshake completed after it was succeeded. Only then are there two. Kept is the one
 * that has run longer, by what both say of their start (equal: the lower instance), so that all
 * neighbours keep the same; the other is refused until the kept one is gone. Owns what was seen of
 * each neighbour, bounded by the links; channels are the link table's.
 */

import { equalBytes } from '../base/bytes.ts';
import type { Endpoint } from '../base/datagram.ts';
import type { NodeId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import type { SecureRandom } from '../base/rng.ts';
import { MILLISECOND, SECOND, type Clock, type Micros } from '../base/time.ts';
import {
  FRAME_CLOSE,
  FRAME_PATH_ANSWER,
  FRAME_PATH_PROBE,
  FRAME_TWIN,
  frameBodyBytes,
  PATH_TOKEN_BYTES,
} from '../wire/frames.ts';
import { DATAGRAM_HEADER_BYTES, FRAME_HEAD_BYTES } from '../wire/sizes.ts';
import { encodeTwin, TWIN_BODY_BYTES } from '../wire/twin.ts';
import type { Channel } from './channel.ts';
import type { Run } from './handshaker.ts';

/** A run of a neighbour's daemon, and where it was seen last. */
export interface SeenRun extends Run {
  readonly endpoint: Endpoint;
}

/** Two daemons with one identity. */
export interface TwinRecord {
  readonly node: NodeId;
  readonly kept: SeenRun;
  refused: SeenRun;
  readonly since: Micros;
  /** When the refused one was heard last, and the kept one had no link last. */
  refusedAt: Micros;
  keptLostAt: Micros;
  /** When the kept one was told last. */
  keptToldAt: Micros;
}

/** What came before the channel in use, for as long as it may prove that somebody still uses it. */
interface Former {
  readonly channel: Channel;
  readonly until: Micros;
  readonly token: Uint8Array;
  askedAt: Micros;
}

interface Neighbour {
  now: SeenRun | null;
  /** Runs that were succeeded by another one, the newest last. */
  readonly before: SeenRun[];
  former: Former | null;
  record: TwinRecord | null;
  /** Instances of the pair that the log had last, and when. */
  told: string;
  toldAt: Micros;
}

const BEFORE_MAX = 8;
const FORMER_TIME: Micros = 10 * SECOND;
/** A former channel that shows life is asked this often at most. */
const ASK_EVERY: Micros = 100 * MILLISECOND;
/** A kept daemon without a link may be back this long; then the other one is taken. */
const RETURN_TIME: Micros = 3 * SECOND;
/** The refused one asks again every half second; when it has not for this long it is gone. */
const GONE_AFTER: Micros = 10 * SECOND;
/** The kept one is told that there is another this often. */
const TELL_KEPT_EVERY: Micros = 5 * SECOND;
/** The same pair is news this often. */
const TELL_EVERY: Micros = 600 * SECOND;

export class Twins {
  readonly #clock: Clock;
  readonly #random: SecureRandom;
  readonly #log: Log;
  readonly #forget: (channel: Channel) => void;
  readonly #nameOf: (node: NodeId) => string;
  readonly #neighbours = new Map<NodeId, Neighbour>();

  /** `forget`: a former channel is not looked at any more. `nameOf`: for the log. */
  constructor(
    clock: Clock,
    random: SecureRandom,
    log: Log,
    nameOf: (node: NodeId) => string,
    forget: (channel: Channel) => void,
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#log = log;
    this.#nameOf = nameOf;
    this.#forget = forget;
  }

  /** All pairs that are known now. */
  *records(): IterableIterator<TwinRecord> {
    for (const { record } of this.#neighbours.values()) if (record !== null) yield record;
  }

  recordOf(node: NodeId): TwinRecord | null {
    return this.#neighbours.get(node)?.record ?? null;
  }

  /**
   * Whether a handshake of that run may lead to a channel; `up`: the neighbour's link is up now.
   * Where the twin is otherwise.
   */
  admits(node: NodeId, { instance, started }: Run, up: boolean, from: Endpoint): Endpoint | null {
    const neighbour = this.#neighbours.get(node);
    const record = neighbour?.record ?? null;
    if (neighbour === undefined || record === null || instance === record.kept.instance)
      return null;
    const now = this.#clock.now();
    const waits = instance === record.refused.instance && now - record.keptLostAt < RETURN_TIME;
    if (up || waits) {
      record.refused = { instance, started, endpoint: from };
      record.refusedAt = now;
      return record.kept.endpoint;
    }
    this.#over(neighbour, record);
    return null;
  }

  /**
   * The link moves to `channel`; `former` carried it until now. True: `former` stays open for what
   * may still come on it, and `onFormer` must get it.
   */
  onChannel(node: NodeId, channel: Channel, former: Channel | null): boolean {
    const neighbour = this.#of(node);
    const run = seen(channel);
    const before = neighbour.now;
    neighbour.now = run;
    this.#endFormer(neighbour);
    if (before === null || before.instance === run.instance) return false;
    const back = neighbour.before.findIndex(({ instance }) => instance === run.instance);
    if (back >= 0) neighbour.before.splice(back, 1);
    neighbour.before.push(before);
    if (neighbour.before.length > BEFORE_MAX) neighbour.before.shift();
    if (back >= 0) {
      // It was succeeded, and lives: so both do, or did until now.
      this.#declare(node, neighbour, run, before);
      return false;
    }
    if (former === null) return false;
    const token = new Uint8Array(PATH_TOKEN_BYTES);
    this.#random.fill(token);
    former.ackWriter = null;
    neighbour.former = {
      channel: former,
      until: this.#clock.now() + FORMER_TIME,
      token,
      askedAt: -SECOND,
    };
    return true;
  }

  isFormer(node: NodeId, channel: Channel): boolean {
    return this.#neighbours.get(node)?.former?.channel === channel;
  }

  /**
   * An authentic datagram came on the former channel, frames in
   * `bytes[DATAGRAM_HEADER_BYTES..end)`. Its sender may be long gone: it is asked. Returns what is
   * to end when it has proved that it lives: the channel in use, the former one; null: nothing yet.
   */
  onFormer(node: NodeId, bytes: Uint8Array, end: number): 'present' | 'former' | null {
    const neighbour = this.#of(node);
    const former = neighbour.former!;
    const { channel, token } = former;
    let at = DATAGRAM_HEADER_BYTES;
    while (at < end) {
      const length = frameBodyBytes(bytes, at, end);
      if (length < 0) return null;
      const type = bytes[at]!,
        start = at + FRAME_HEAD_BYTES;
      at = start + length;
      if (type === FRAME_CLOSE) {
        // It says good-bye: that was all.
        this.#endFormer(neighbour);
        return null;
      }
      if (type === FRAME_PATH_ANSWER && equalBytes(bytes.subarray(start, at), token))
        return this.#proved(node, neighbour, former);
    }
    const now = this.#clock.now();
    if (now - former.askedAt < ASK_EVERY) return null;
    former.askedAt = now;
    channel.buffer.set(token, channel.frame(FRAME_PATH_PROBE, PATH_TOKEN_BYTES));
    return null;
  }

  #proved(node: NodeId, neighbour: Neighbour, { channel }: Former): 'present' | 'former' {
    const elder = seen(channel),
      present = neighbour.now!;
    const kept = this.#declare(node, neighbour, elder, present);
    if (kept.instance !== elder.instance) return 'former';
    // The link goes back to it, when it asks or is asked again.
    neighbour.now = elder;
    neighbour.before.splice(
      0,
      neighbour.before.length,
      ...neighbour.before.filter(({ instance }) => instance !== elder.instance),
      present,
    );
    return 'present';
  }

  /** What was sent on the former channel is the last. */
  endFormer(node: NodeId): void {
    this.#endFormer(this.#of(node));
  }

  onDown(node: NodeId): void {
    const record = this.recordOf(node);
    if (record !== null) record.keptLostAt = this.#clock.now();
  }

  /**
   * Tells `channel`, of that neighbour's link, that another daemon is refused, if its owner is the
   * one that is kept.
   */
  tellKept(node: NodeId, channel: Channel): void {
    const record = this.recordOf(node),
      now = this.#clock.now();
    if (
      record === null ||
      record.kept.instance !== channel.instance ||
      now - record.keptToldAt < TELL_KEPT_EVERY
    )
      return;
    record.keptToldAt = now;
    // Alone: an older release does not know it, and drops what is behind it.
    channel.flush();
    encodeTwin(
      record.refused,
      record.refused.endpoint,
      channel.buffer,
      channel.frame(FRAME_TWIN, TWIN_BODY_BYTES),
    );
    channel.flush();
  }

  /** Housekeeping: former channels and pairs that are over. `up`: the link of that node is. */
  look(up: (node: NodeId) => boolean): void {
    const now = this.#clock.now();
    for (const [node, neighbour] of this.#neighbours) {
      if (neighbour.former !== null && now >= neighbour.former.until) this.#endFormer(neighbour);
      const { record } = neighbour;
      if (record === null) continue;
      const keptGone = !up(node) && now - record.keptLostAt >= GONE_AFTER;
      if (keptGone || now - record.refusedAt >= GONE_AFTER) this.#over(neighbour, record);
    }
  }

  /** The link is forgotten. */
  forget(node: NodeId): void {
    const neighbour = this.#neighbours.get(node);
    if (neighbour === undefined) return;
    this.#endFormer(neighbour);
    this.#neighbours.delete(node);
  }

  /** Both run. Returns the one that is kept. */
  #declare(node: NodeId, neighbour: Neighbour, a: SeenRun, b: SeenRun): SeenRun {
    const now = this.#clock.now();
    const kept = runsLonger(a, b) ? a : b;
    const refused = kept === a ? b : a;
    neighbour.record = {
      node,
      kept,
      refused,
      since: neighbour.record?.since ?? now,
      refusedAt: now,
      keptLostAt: now,
      keptToldAt: -TELL_KEPT_EVERY,
    };
    const pair = `${kept.instance} ${refused.instance}`;
    const fields = {
      peer: this.#nameOf(node),
      kept: kept.endpoint.key,
      refused: refused.endpoint.key,
    };
    if (neighbour.told !== pair || now - neighbour.toldAt >= TELL_EVERY) {
      neighbour.told = pair;
      neighbour.toldAt = now;
      this.#log.warn(
        fields,
        'one identity runs twice: two daemons have the same certificate and node id. Stop one, ' +
          'or give it an identity of its own',
      );
    } else this.#log.debug(fields, 'one identity runs twice, still');
    return kept;
  }

  #over(neighbour: Neighbour, { node, kept, refused }: TwinRecord): void {
    neighbour.record = null;
    this.#log.info(
      { peer: this.#nameOf(node), kept: kept.endpoint.key, refused: refused.endpoint.key },
      'one identity runs once again',
    );
  }

  #endFormer(neighbour: Neighbour): void {
    const { former } = neighbour;
    neighbour.former = null;
    if (former !== null) this.#forget(former.channel);
  }

  #of(node: NodeId): Neighbour {
    let neighbour = this.#neighbours.get(node);
    if (neighbour === undefined) {
      neighbour = { now: null, before: [], former: null, record: null, told: '', toldAt: 0 };
      this.#neighbours.set(node, neighbour);
    }
    return neighbour;
  }
}

/** Whether `a` began before `b`, by what they say. */
export function runsLonger(a: Run, b: Run): boolean {
  return a.started !== b.started ? a.started < b.started : a.instance < b.instance;
}

/** As it is shown. */
export function instanceText(instance: number): string {
  return instance.toString(16).padStart(12, '0');
}

function seen({ instance, started, endpoint }: Channel): SeenRun {
  return { instance, started, endpoint };
}
