/**
 * Sends packets at a steady rate from ticks of about a millisecond; fewer when that is more than
 * the process can, or than back-pressure allows.
 */

import { monotonicMs, pause } from './processes.js';

/** Packets between two looks at the clock. */
const BURST = 64;

export interface Pumped {
  readonly sent: number;
  readonly beganMs: number;
  readonly endedMs: number;
}

export interface Pump {
  readonly packetsPerSecond: number;
  readonly durationMs: number;
  /** Sends a packet, `last` of this burst. False: no more until `ready`. */
  emit(last: boolean): boolean;
  ready(): Promise<unknown>;
}

export async function pump({ packetsPerSecond, durationMs, emit, ready }: Pump): Promise<Pumped> {
  const beganMs = monotonicMs();
  const total = Math.round((packetsPerSecond * durationMs) / 1_000);
  let sent = 0;
  for (;;) {
    const elapsed = monotonicMs() - beganMs;
    if (sent >= total || elapsed >= durationMs * 1.2)
      return { sent, beganMs, endedMs: monotonicMs() };
    const behind = Math.min(total, Math.floor((elapsed * packetsPerSecond) / 1_000) + 1) - sent;
    const count = Math.min(behind, BURST);
    let open = true;
    for (let i = 1; i <= count && open; i += 1) {
      open = emit(i === count);
      sent += 1;
    }
    if (!open) await Promise.race([ready(), pause(durationMs / 5)]);
    else if (behind > BURST) await new Promise((resolve) => setImmediate(resolve));
    else await pause(1);
  }
}
