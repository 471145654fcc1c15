/**
 * The emulated characteristics of one direction of a link: the type, its bounds, and how changes
 * apply.
 *
 * Owns DirectionSettings and its translation from and to the client protocol's LinkSettings
 * (percent and milliseconds there, rates 0..1 and microseconds here). Knows nothing of datagrams:
 * that is LinkModel. Called by the link model, the emulated sink, the topology parser and the
 * simulator. Invariant: every DirectionSettings made here is frozen, in bounds and has integer
 * microseconds.
 */

import type { LinkSettings } from 'spines-client/protocol';

import { SpinesError } from '../base/errors.ts';
import { MILLISECOND, SECOND, type Micros } from '../base/time.ts';

/** All rates are probabilities per datagram, 0..1. */
export type LossModel =
  | { readonly kind: 'bernoulli'; readonly rate: number }
  | {
      readonly kind: 'gilbert-elliott';
      /** Chance, per datagram, of leaving the good state. */
      readonly goodToBad: number;
      /**
       * Chance, per datagram, of leaving the bad state: the mean burst lasts 1 / badToGood
       * datagrams.
       */
      readonly badToGood: number;
      readonly lossGood: number;
      readonly lossBad: number;
    }
  | {
      /**
       * As Gilbert-Elliott, but the state goes by time, whatever is sent: what is idle or probes
       * seldom meets as long a burst as what sends much.
       */
      readonly kind: 'bursts-in-time';
      /** Mean time in the good state, 1..DELAY_US_MAX, exponential. */
      readonly goodUs: Micros;
      /** Time in the bad state, 1..DELAY_US_MAX: the mean, exponential; or always so long. */
      readonly badUs: Micros;
      readonly badFixed: boolean;
      readonly lossGood: number;
      readonly lossBad: number;
    };

export interface DirectionSettings {
  /** While false, every datagram offered is lost; those already on the wire still arrive. */
  readonly up: boolean;
  /** kbit/s of IP bytes, an integer in 1..BANDWIDTH_KBPS_MAX; null = unlimited. */
  readonly bandwidthKbps: number | null;
  /**
   * Drop-tail bound of the bottleneck queue in IP bytes, the unsent part of the datagram in service
   * included; an idle link takes a datagram of any size. Means nothing while the bandwidth is
   * unlimited.
   */
  readonly queueBytes: number;
  /**
   * Longest IP packet that passes, MTU_MIN..MTU_MAX; longer ones are lost without a word. Null =
   * any.
   */
  readonly mtuBytes: number | null;
  /** Propagation delay, 0..DELAY_US_MAX. */
  readonly latencyUs: Micros;
  /** Uniform extra delay 0..jitterUs; order is kept. */
  readonly jitterUs: Micros;
  readonly loss: LossModel;
  readonly duplicateRate: number;
  readonly reorderRate: number;
  /** How long a reordered datagram is held back while later ones pass it. */
  readonly reorderUs: Micros;
  /** Share of datagrams that arrive with one payload bit flipped. */
  readonly corruptRate: number;
}

/** What changes; absent keys keep their value. */
export type DirectionChange = { readonly [K in keyof DirectionSettings]?: DirectionSettings[K] };

/** 100 Gbit/s. */
export const BANDWIDTH_KBPS_MAX = 100_000_000;
/** Ten minutes: more than any wire, and it keeps the sums of delays small. */
export const DELAY_US_MAX: Micros = 600 * SECOND;
/** What every IPv4 host takes (RFC 791), and the longest IPv4 packet. */
export const MTU_MIN = 576;
export const MTU_MAX = 65_535;
export const QUEUE_BYTES_MAX = 1_073_741_824;
/** The queue is never smaller by default: one largest application message. */
export const QUEUE_BYTES_DEFAULT_MIN = 65_536;

/** The default queue: the larger of 64 KiB and 100 ms of the bandwidth. */
export function defaultQueueBytes(bandwidthKbps: number | null): number {
  if (bandwidthKbps === null) return QUEUE_BYTES_DEFAULT_MIN;
  // kbit/s = bit/ms, so 100 ms of it are kbps * 100 / 8 bytes.
  return Math.min(
    QUEUE_BYTES_MAX,
    Math.max(QUEUE_BYTES_DEFAULT_MIN, Math.floor((bandwidthKbps * 100) / 8)),
  );
}

/** A perfect wire: up, unlimited, no delay, no faults. */
export function defaultDirection(): DirectionSettings {
  return perfect;
}

/**
 * `current` with `change` applied. A queue that has the default size follows a change of bandwidth.
 * Throws SpinesError 'EINVAL' naming the field that is out of range.
 */
export function changeDirection(
  current: DirectionSettings,
  change: DirectionChange,
): DirectionSettings {
  const next = { ...current, ...change };
  if (
    change.queueBytes === undefined &&
    next.bandwidthKbps !== current.bandwidthKbps &&
    current.queueBytes === defaultQueueBytes(current.bandwidthKbps)
  ) {
    next.queueBytes = defaultQueueBytes(next.bandwidthKbps);
  }
  check(next);
  return Object.freeze(next);
}

/**
 * `current` with a change in the client protocol's terms applied; throws SpinesError 'EINVAL' like
 * changeDirection.
 */
export function applyLinkSettings(
  current: DirectionSettings,
  change: LinkSettings,
): DirectionSettings {
  const next: { -readonly [K in keyof DirectionSettings]?: DirectionSettings[K] } = {};
  if (change.up !== undefined) next.up = change.up;
  if (change.bandwidthKbps !== undefined) next.bandwidthKbps = change.bandwidthKbps;
  if (change.mtuBytes !== undefined) next.mtuBytes = change.mtuBytes;
  if (change.latencyMs !== undefined) next.latencyUs = Math.round(change.latencyMs * MILLISECOND);
  if (change.jitterMs !== undefined) next.jitterUs = Math.round(change.jitterMs * MILLISECOND);
  if (change.lossPct !== undefined) next.loss = { kind: 'bernoulli', rate: change.lossPct / 100 };
  if (change.duplicatePct !== undefined) next.duplicateRate = change.duplicatePct / 100;
  if (change.reorderPct !== undefined) next.reorderRate = change.reorderPct / 100;
  if (change.corruptPct !== undefined) next.corruptRate = change.corruptPct / 100;
  return changeDirection(current, next);
}

/**
 * The settings in the client protocol's terms. The protocol has no word for bursts, queue or
 * reorder delay: a Gilbert-Elliott model shows as its long-run loss, the other two not at all.
 */
export function toLinkSettings(settings: DirectionChange): LinkSettings {
  const out: LinkSettings = {};
  if (settings.up !== undefined) out.up = settings.up;
  if (settings.bandwidthKbps !== undefined) out.bandwidthKbps = settings.bandwidthKbps;
  if (settings.mtuBytes !== undefined) out.mtuBytes = settings.mtuBytes;
  if (settings.latencyUs !== undefined) out.latencyMs = settings.latencyUs / MILLISECOND;
  if (settings.jitterUs !== undefined) out.jitterMs = settings.jitterUs / MILLISECOND;
  if (settings.loss !== undefined) out.lossPct = percentOf(meanLoss(settings.loss));
  if (settings.duplicateRate !== undefined) out.duplicatePct = percentOf(settings.duplicateRate);
  if (settings.reorderRate !== undefined) out.reorderPct = percentOf(settings.reorderRate);
  if (settings.corruptRate !== undefined) out.corruptPct = percentOf(settings.corruptRate);
  return out;
}

/** Long-run share of datagrams lost, 0..1. */
export function meanLoss(loss: LossModel): number {
  if (loss.kind === 'bernoulli') return loss.rate;
  if (loss.kind === 'bursts-in-time')
    return (loss.badUs * loss.lossBad + loss.goodUs * loss.lossGood) / (loss.badUs + loss.goodUs);
  const moves = loss.goodToBad + loss.badToGood;
  // Without any move between the states the model stays in the good one, where it starts.
  const bad = moves === 0 ? 0 : loss.goodToBad / moves;
  return bad * loss.lossBad + (1 - bad) * loss.lossGood;
}

/** Percent with the noise of binary fractions taken off (0.07 * 100 is not 7). */
function percentOf(rate: number): number {
  return Math.round(rate * 1e8) / 1e6;
}

function check(settings: DirectionSettings): void {
  const { bandwidthKbps, loss } = settings;
  if (typeof settings.up !== 'boolean') throw invalid('up', 'true or false');
  if (bandwidthKbps !== null) integer('bandwidth', bandwidthKbps, 1, BANDWIDTH_KBPS_MAX, 'kbit/s');
  integer('queue', settings.queueBytes, 1, QUEUE_BYTES_MAX, 'bytes');
  if (settings.mtuBytes !== null) integer('mtu', settings.mtuBytes, MTU_MIN, MTU_MAX, 'bytes');
  integer('latency', settings.latencyUs, 0, DELAY_US_MAX, 'us');
  integer('jitter', settings.jitterUs, 0, DELAY_US_MAX, 'us');
  integer('reorder delay', settings.reorderUs, 0, DELAY_US_MAX, 'us');
  if (loss.kind === 'bernoulli') {
    rate('loss', loss.rate);
  } else {
    if (loss.kind === 'bursts-in-time') {
      integer('burst good', loss.goodUs, 1, DELAY_US_MAX, 'us');
      integer('burst bad', loss.badUs, 1, DELAY_US_MAX, 'us');
    } else {
      rate('burst goodToBad', loss.goodToBad);
      rate('burst badToGood', loss.badToGood);
    }
    rate('burst lossGood', loss.lossGood);
    rate('burst lossBad', loss.lossBad);
  }
  rate('duplicate', settings.duplicateRate);
  rate('reorder', settings.reorderRate);
  rate('corrupt', settings.corruptRate);
}

function integer(field: string, value: number, min: number, max: number, unit: string): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw invalid(field, `a whole number of ${unit} in ${min}..${max}`);
}

function rate(field: string, value: number): void {
  // Written so that NaN fails too.
  if (!(value >= 0 && value <= 1)) throw invalid(field, 'in 0..100 %');
}

function invalid(field: string, wanted: string): SpinesError {
  return new SpinesError('EINVAL', `link ${field} must be ${wanted}`);
}

const perfect: DirectionSettings = Object.freeze({
  up: true,
  bandwidthKbps: null,
  queueBytes: defaultQueueBytes(null),
  mtuBytes: null,
  latencyUs: 0,
  jitterUs: 0,
  loss: Object.freeze({ kind: 'bernoulli', rate: 0 } as const),
  duplicateRate: 0,
  reorderRate: 0,
  reorderUs: 10 * MILLISECOND,
  corruptRate: 0,
});
