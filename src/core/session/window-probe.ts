/**
 * When a stream whose data waits for a window that is shut asks for it: the segment that opened it
 * may have been lost (RFC 9293, 3.8.6.1).
 *
 * Owns how often it has asked. Knows no timers and no packets; called by stream.ts.
 */

import { NEVER, SECOND, type Micros } from '../base/time.ts';
import type { StreamLiveness } from './stream-liveness.ts';
import type { StreamSender } from './stream-sender.ts';

const PAUSE_MAX: Micros = 5 * SECOND;

export class WindowProbe {
  #sent = 0;

  /** The far end said what it takes. */
  onAck(): void {
    this.#sent = 0;
  }

  onSent(): void {
    this.#sent += 1;
  }

  /** When the next one is due; NEVER: nothing waits for the window. */
  dueAt(sender: StreamSender, { askedAt, heardAt }: StreamLiveness): Micros {
    if (sender.outstanding || (sender.unsent === 0 && !(sender.ended && !sender.finished)))
      return NEVER;
    if (sender.limit() !== 'receiver window') return NEVER;
    return (
      Math.max(askedAt, heardAt) +
      Math.min(PAUSE_MAX, sender.timeout * (1 << Math.min(this.#sent, 4)))
    );
  }
}
