/**
 * Congestion control: how many bytes may be under way. One interface for links and for end-to-end
 * streams.
 *
 * Plain arithmetic on bytes and microseconds; knows no packets and no timers. A controller is told
 * what happened and answers with a window, and with a rate if it knows one. NewReno follows the
 * paper (section 2.2: slow start and congestion avoidance of TCP) in the form of RFC 9002 section
 * 7; CUBIC is RFC 9438; BBR has a file of its own.
 */

import type { Micros } from '../base/time.ts';
import { Bbr } from './bbr.ts';
import type { CongestionController, CongestionName } from './controller.ts';

export function makeController(name: CongestionName): CongestionController {
  return name === 'bbr' ? new Bbr() : name === 'cubic' ? new Cubic() : new NewReno();
}

const SEGMENT_DEFAULT = 1_480;
const INITIAL_SEGMENTS = 10;
const MINIMUM_SEGMENTS = 2;
/**
 * And of a sender whose program offers less than a window or two can take: after a loss or two it
 * would wait for round trips with messages that could fill nobody's queue. A greedy sender has more
 * waiting than this, and gets what the equation of TCP gives it at any loss.
 */
const MINIMUM_SEGMENTS_SPARSE = 4;
/** Bytes. */
const SPARSE_BYTES = 16 * SEGMENT_DEFAULT;
/**
 * A window counts bytes. Small messages grow and narrow it by as much as messages of 1,000 bytes do
 * (RFC 4828 counts by a nominal size for the same reason): by their own size, 100-byte messages
 * would get a tenth of the bytes at any loss.
 */
const SEGMENT_MIN = 1_100;
const WINDOW_MAX = 64 * 1024 * 1024;

/** What NewReno and CUBIC share: segment size, recovery period, slow start. */
abstract class WindowController implements CongestionController {
  readonly pacingRate = 0;
  window = INITIAL_SEGMENTS * SEGMENT_DEFAULT;
  protected threshold = Infinity;
  protected segment = SEGMENT_DEFAULT;
  /** Losses of what was sent before this time belong to a reduction already made. */
  #recoveryFrom: Micros = -1;
  /** As before the last reduction; window 0 = it cannot be undone. */
  readonly #before = { window: 0, threshold: 0, recoveryFrom: -1 };

  get inSlowStart(): boolean {
    return this.window < this.threshold;
  }

  onSegmentSize(bytes: number): void {
    this.segment += (Math.max(bytes, SEGMENT_MIN) - this.segment) / 16;
  }

  onAck(bytes: number, sentAt: Micros, now: Micros, rttUs: Micros, limited: boolean): void {
    if (sentAt <= this.#recoveryFrom || !limited) return;
    if (this.inSlowStart) this.window = Math.min(this.window + bytes, WINDOW_MAX);
    else this.window = Math.min(this.grow(bytes, now, rttUs), WINDOW_MAX);
  }

  onSent(): void {}

  onApplicationLimited(): void {}

  onAckEnd(): void {}

  onLoss(_bytes: number, sentAt: Micros, now: Micros, waiting: number): boolean {
    return this.onMark(sentAt, now, waiting);
  }

  onMark(sentAt: Micros, now: Micros, waiting: number): boolean {
    if (sentAt <= this.#recoveryFrom) return false;
    const before = this.#before;
    before.window = this.window;
    before.threshold = this.threshold;
    before.recoveryFrom = this.#recoveryFrom;
    this.#recoveryFrom = now;
    this.window = Math.max(this.reduce(now), this.#least(waiting));
    this.threshold = this.window;
    return true;
  }

  undo(): void {
    const before = this.#before;
    if (before.window === 0) return;
    this.window = Math.max(this.window, before.window);
    this.threshold = Math.max(this.threshold, before.threshold);
    this.#recoveryFrom = before.recoveryFrom;
    before.window = 0;
    this.restore();
  }

  onPersistentLoss(waiting: number): void {
    this.window = this.#least(waiting);
  }

  #least(waiting: number): number {
    return (waiting < SPARSE_BYTES ? MINIMUM_SEGMENTS_SPARSE : MINIMUM_SEGMENTS) * this.segment;
  }

  /** The window in congestion avoidance after `bytes` more were acknowledged. */
  protected abstract grow(bytes: number, now: Micros, rttUs: Micros): number;
  /** The window after congestion. */
  protected abstract reduce(now: Micros): number;
  /** The last `reduce` did not happen. */
  protected abstract restore(): void;
}

export class NewReno extends WindowController {
  protected override grow(bytes: number): number {
    return this.window + (this.segment * bytes) / this.window;
  }

  protected override reduce(): number {
    return this.window / 2;
  }

  protected override restore(): void {}
}

/** RFC 9438 section 4: C = 0.4, beta = 0.7. Windows in segments, time in seconds. */
const CUBIC_C = 0.4;
const CUBIC_BETA = 0.7;

export class Cubic extends WindowController {
  #epochAt: Micros = -1;
  #maximum = 0;
  #k = 0;
  #renoWindow = 0;
  readonly #before = { epochAt: -1, maximum: 0, k: 0, renoWindow: 0 };

  protected override grow(bytes: number, now: Micros, rttUs: Micros): number {
    const { segment } = this;
    if (this.#epochAt < 0) {
      this.#epochAt = now;
      if (this.#maximum < this.window) this.#maximum = this.window;
      this.#k = cubeRoot((this.#maximum - this.window) / segment / CUBIC_C);
      this.#renoWindow = this.window;
    }
    const t = (now - this.#epochAt + rttUs) / 1_000_000 - this.#k;
    const target = this.#maximum + CUBIC_C * t * t * t * segment;
    // The window that Reno would have (section 4.3), so that CUBIC is never slower than it.
    this.#renoWindow +=
      ((3 * (1 - CUBIC_BETA)) / (1 + CUBIC_BETA)) * segment * (bytes / this.window);
    const bounded = Math.min(Math.max(target, this.window), 1.5 * this.window);
    return Math.max(
      this.window + ((bounded - this.window) * bytes) / this.window,
      this.#renoWindow,
    );
  }

  protected override restore(): void {
    const { epochAt, maximum, k, renoWindow } = this.#before;
    this.#epochAt = epochAt;
    this.#maximum = maximum;
    this.#k = k;
    this.#renoWindow = renoWindow;
  }

  protected override reduce(): number {
    const before = this.#before;
    before.epochAt = this.#epochAt;
    before.maximum = this.#maximum;
    before.k = this.#k;
    before.renoWindow = this.#renoWindow;
    this.#epochAt = -1;
    // Fast convergence (section 4.7): leave room when the window shrinks twice in a row.
    this.#maximum =
      this.window < this.#maximum ? (this.window * (1 + CUBIC_BETA)) / 2 : this.window;
    return this.window * CUBIC_BETA;
  }

  override onPersistentLoss(waiting: number): void {
    super.onPersistentLoss(waiting);
    this.#epochAt = -1;
  }
}

/** Newton's iteration: the last bit of Math.cbrt may differ between engines. */
function cubeRoot(x: number): number {
  if (x <= 0) return 0;
  let root = x > 1 ? x / 3 : 1;
  for (let i = 0; i < 60; i += 1) {
    const next = (2 * root + x / (root * root)) / 3;
    if (Math.abs(next - root) <= 1e-9 * root) return next;
    root = next;
  }
  return root;
}
