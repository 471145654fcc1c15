/**
 * The keys that others seal for this node with: an X25519 pair for each epoch, and how long each is
 * kept.
 *
 * Owns when an epoch ends and when its secret is erased. A pair is drawn at random in this run and
 * is nowhere but in memory. The newest is what the node record says; the one before seals for a
 * moment longer, until others have heard of the new one. A secret is kept for as long as somebody
 * may believe a record that names it (its lifetime, and how far clocks may differ), then it is
 * erased: what was sealed for it cannot be read any more, by whoever it may be.
 */

import type { SecureRandom } from '../base/rng.ts';
import type { Clock, Micros } from '../base/time.ts';
import { SECOND } from '../base/time.ts';
import { draw, Secret } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';

export interface OwnEpoch {
  /** u24, in packets and in the node record. */
  readonly name: number;
  readonly secret: Secret;
  readonly publicKey: Uint8Array;
  readonly madeAt: Micros;
  /** When a record with it was signed last. */
  saidAt: Micros;
}

export interface EpochTimes {
  /** An epoch lasts about this long: it ends with the renewal of the record that is nearest. */
  readonly rotateUs: Micros;
  /** Between two renewals. */
  readonly refreshUs: Micros;
  /** For so long after it was signed somebody may believe a record. */
  readonly believedUs: Micros;
}

const NAMES = 0x100_0000;
/** A new epoch seals from then on: floods are faster. */
const SETTLE: Micros = 2 * SECOND;

export class OwnEpochs {
  readonly #primitives: Pick<Primitives, 'x25519PublicKey'>;
  readonly #random: SecureRandom;
  readonly #clock: Clock;
  readonly #times: EpochTimes;
  /** Oldest first, the last one is what the record says. */
  readonly #epochs: OwnEpoch[] = [];
  /** Epochs that have ended since the start. */
  rotations = 0;
  /** Its secret is gone. */
  onErased: (epoch: OwnEpoch) => void = () => {};

  constructor(
    primitives: Pick<Primitives, 'x25519PublicKey'>,
    random: SecureRandom,
    clock: Clock,
    times: EpochTimes,
  ) {
    this.#primitives = primitives;
    this.#random = random;
    this.#clock = clock;
    this.#times = times;
    const first = draw(random, 3);
    this.#add((first[0]! << 16) | (first[1]! << 8) | first[2]!);
  }

  get current(): OwnEpoch {
    return this.#epochs[this.#epochs.length - 1]!;
  }

  /** Secrets that are kept. */
  get size(): number {
    return this.#epochs.length;
  }

  /** The one to seal with now. */
  get sending(): OwnEpoch {
    const { current } = this;
    if (
      this.#epochs.length === 1 ||
      this.#clock.now() - current.madeAt >= Math.min(SETTLE, this.#times.rotateUs / 4)
    )
      return current;
    return this.#epochs[this.#epochs.length - 2]!;
  }

  /** The epoch of that name, null when it was never ours in this run or has been erased. */
  of(name: number): OwnEpoch | null {
    for (let i = this.#epochs.length - 1; i >= 0; i -= 1)
      if (this.#epochs[i]!.name === name) return this.#epochs[i]!;
    return null;
  }

  /** The epoch that a record says that is signed now: a new one when it is time. */
  forRecord(): OwnEpoch {
    const { rotateUs, refreshUs } = this.#times;
    const now = this.#clock.now();
    if (now - this.current.madeAt >= rotateUs - Math.min(rotateUs, refreshUs) / 2) {
      this.#add((this.current.name + 1) % NAMES);
      this.rotations += 1;
    }
    this.#erase(now);
    this.current.saidAt = now;
    return this.current;
  }

  #add(name: number): void {
    const now = this.#clock.now();
    const secret = new Secret(draw(this.#random, 32));
    this.#epochs.push({
      name,
      secret,
      publicKey: this.#primitives.x25519PublicKey(secret.reveal()),
      madeAt: now,
      saidAt: now,
    });
  }

  #erase(now: Micros): void {
    // The one before the current may still be what we seal with.
    while (this.#epochs.length > 2 && now - this.#epochs[0]!.saidAt >= this.#times.believedUs) {
      const epoch = this.#epochs.shift()!;
      epoch.secret.erase();
      this.onErased(epoch);
    }
  }
}
