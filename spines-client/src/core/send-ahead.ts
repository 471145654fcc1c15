/**
 * How far the sends of one connection are ahead of what the daemon has read.
 *
 * Owns the count, and one question at a time: replies come in the order of what was sent, so one
 * proves that all before it was read. Called by core.ts.
 */

/**
 * How far sends may be ahead of the daemon, with SEND_COST_BYTES for each of the packets that they
 * become: what it had not read when it wanted a socket to wait is taken all the same. Replies come
 * in the order of what was sent: one proves that all before it was read.
 */
export const SEND_AHEAD_BYTES = 524_288;
export const SEND_COST_BYTES = 192;
const SEND_PACKET_BYTES = 1_400;

export class SendAhead {
  readonly #ask: (id: number, answered: () => void) => void;
  readonly #isOpen: () => boolean;
  readonly #onRoom: () => void;
  /**
   * What was sent since a reply proved that the daemon had read all before; and how much of it the
   * question under way will prove, 0: none is.
   */
  #ahead = 0;
  #asked = 0;
  #full = false;

  /** `ask`: asks the daemon anything, by socket `id`. `onRoom`: `full` is over. */
  constructor(
    ask: (id: number, answered: () => void) => void,
    isOpen: () => boolean,
    onRoom: () => void,
  ) {
    this.#ask = ask;
    this.#isOpen = isOpen;
    this.#onRoom = onRoom;
  }

  /** Too far: sockets are to wait. */
  get full(): boolean {
    return this.#full;
  }

  /** A message of `payloadBytes` left by socket `id`. */
  onSent(id: number, payloadBytes: number): void {
    const packets = Math.max(1, Math.ceil(payloadBytes / SEND_PACKET_BYTES));
    this.#ahead += payloadBytes + SEND_COST_BYTES * packets;
    if (this.#ahead >= SEND_AHEAD_BYTES) this.#full = true;
    if (this.#asked === 0) this.#prove(id);
  }

  /** Asks something, when enough has been sent since. */
  #prove(id: number): void {
    if (this.#ahead < SEND_AHEAD_BYTES / 4) return;
    this.#asked = this.#ahead;
    this.#ask(id, () => {
      // A connection that is over took along what it had not carried.
      this.#ahead = this.#isOpen() ? this.#ahead - this.#asked : 0;
      this.#asked = 0;
      this.#prove(id);
      if (!this.#full || this.#ahead >= SEND_AHEAD_BYTES / 2) return;
      this.#full = false;
      this.#onRoom();
    });
  }
}
