/**
 * Connections of one door that have not shown yet who they are: a bounded number, and no source can
 * fill it against others.
 *
 * Owns who gives way when one comes that has no room: of the source that has most of them, the
 * oldest. So who fills the room loses its own, and who is alone at its address stays for as long as
 * others have more. How long each may take is the door's.
 */

export class Anteroom<Guest> {
  readonly #guestsMax: number;
  readonly #onGivesWay: (guest: Guest) => void;
  /** With their sources, oldest first. */
  readonly #guests = new Map<Guest, string>();
  readonly #counts = new Map<string, number>();

  /** `onGivesWay`: is no longer in the room, and shall go. */
  constructor(guestsMax: number, onGivesWay: (guest: Guest) => void) {
    this.#guestsMax = guestsMax;
    this.#onGivesWay = onGivesWay;
  }

  get size(): number {
    return this.#guests.size;
  }

  enter(guest: Guest, source: string): void {
    this.#guests.set(guest, source);
    this.#counts.set(source, (this.#counts.get(source) ?? 0) + 1);
    if (this.#guests.size <= this.#guestsMax) return;
    const goes = this.#oldestOfMost();
    this.leave(goes);
    this.#onGivesWay(goes);
  }

  /** It has shown who it is, or is gone. Of no effect on one that is not here. */
  leave(guest: Guest): void {
    const source = this.#guests.get(guest);
    if (source === undefined) return;
    this.#guests.delete(guest);
    const left = this.#counts.get(source)! - 1;
    if (left > 0) this.#counts.set(source, left);
    else this.#counts.delete(source);
  }

  #oldestOfMost(): Guest {
    const most = Math.max(...this.#counts.values());
    for (const [guest, source] of this.#guests) if (this.#counts.get(source) === most) return guest;
    throw new Error('the room is empty');
  }
}
