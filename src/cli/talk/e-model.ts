/**
 * The E-model of ITU-T G.107 (06/2015), as far as a packet network moves it: what delay and loss
 * make of a conversation.
 *
 * Pure. All other parameters have their defaults (section 7.7), so that R is 93.2 where nothing is
 * lost and nothing is late. The codec is G.711 with packet loss concealment (G.113, appendix I).
 */

/** Ro - Is with all parameters at their defaults. */
const R_BEST = 93.2;
/** Of G.711: impairment without loss, and robustness against it. */
const IE = 0;
const BPL = 25.1;
/** Below it delay does not matter (Idd, section 7.4). */
const DELAY_FREE_MS = 100;

export interface Quality {
  /** Transmission rating, at most 93.2; below 50 hardly anybody is content (annex B). */
  readonly r: number;
  /** Mean opinion score of a conversation, 1..4.5. */
  readonly mos: number;
}

/**
 * `earMs`: from mouth to ear, one way. `lossPct`: 0..100, of the network and of what came too late.
 * `burstRatio`: mean length of bursts of loss, over what it would be were losses independent; 1 or
 * more.
 */
export function qualityOf(earMs: number, lossPct: number, burstRatio: number): Quality {
  const ie = IE + ((95 - IE) * lossPct) / (lossPct / burstRatio + BPL);
  const r = Math.max(0, R_BEST - delayImpairment(earMs) - ie);
  return { r, mos: mosOf(r) };
}

/** Idd, of an absolute delay in a connection without echo. */
function delayImpairment(ms: number): number {
  if (ms <= DELAY_FREE_MS) return 0;
  const x = Math.log2(ms / DELAY_FREE_MS);
  return 25 * ((1 + x ** 6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2);
}

/** Annex B. */
function mosOf(r: number): number {
  return r <= 0 ? 1 : Math.max(1, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}
