/**
 * Pre-shared keys of a network: a secret that all its daemons hold beside their own, mixed into
 * every handshake.
 *
 * Owns what a key is called in a handshake, and which of two daemons' keys they use. No key is one
 * of them, called 0: so a network comes to a key, to another one and back without a link down, as
 * long as two neighbours have one in common at each step.
 */

import { labelledHash, Secret } from './keys.ts';

export const PRESHARED_BYTES = 32;
/** That a daemon takes at once: the old one and the new one. */
export const PRESHARED_MAX = 2;

export interface PresharedKey {
  /** u32: the start of a hash; 0: no key. */
  readonly id: number;
  readonly key: Secret;
}

/** What a network without one uses: Noise has a place for a key, and zeros in it say nothing. */
export const NO_PRESHARED_KEY: PresharedKey = {
  id: 0,
  key: new Secret(new Uint8Array(PRESHARED_BYTES)),
};

/** `bytes`: 32, random. */
export function presharedKey(bytes: Uint8Array): PresharedKey {
  const hash = labelledHash('spines pre-shared key', bytes);
  const id = ((hash[0]! << 24) | (hash[1]! << 16) | (hash[2]! << 8) | hash[3]!) >>> 0;
  // One of 2^32 keys has the name of none.
  return { id: id === 0 ? 1 : id, key: new Secret(bytes) };
}

/** The ids that a handshake names, PRESHARED_MAX of them: a daemon with one key names it twice. */
export function idsOf(keys: readonly PresharedKey[]): [number, number] {
  return [keys[0]!.id, keys.at(-1)!.id];
}

/**
 * The key that is used between a daemon with `own` and one that names `ids`; the first of `own`
 * that both have. Null: none.
 */
export function commonKey(
  own: readonly PresharedKey[],
  ids: readonly number[],
): PresharedKey | null {
  return own.find(({ id }) => ids.includes(id)) ?? null;
}

/** "3f0a91c2", or "none". */
export function presharedText(id: number): string {
  return id === 0 ? 'none' : id.toString(16).padStart(8, '0');
}

/** What is wrong between two daemons, from the side of one: it has `own`, the other names `ids`. */
export function presharedFault(own: readonly PresharedKey[], ids: readonly number[]): string {
  if (ids.every((id) => id === 0)) return 'it has no pre-shared key, and this daemon wants one';
  if (own.every(({ id }) => id === 0)) return 'it wants a pre-shared key, and this daemon has none';
  return (
    `it has another pre-shared key (${[...new Set(ids)].map(presharedText).join(', ')}) ` +
    `than this daemon (${own.map(({ id }) => presharedText(id)).join(', ')})`
  );
}
