/**
 * The two keys of a pair of nodes, one a direction, from the epoch keys of both.
 *
 * HKDF-SHA-256 (RFC 5869) over X25519(own epoch secret, peer's epoch key); the info names who seals for whom and both epoch keys, so that
 * no two directions, pairs or epochs share a key. Both ends get the same ones. That the epoch keys are the nodes' is what their signed records say.
 */

import { putU32, utf8Encode } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Primitives, Sealer } from '../crypto/primitives.ts';
import type { OwnEpoch } from './own-epochs.ts';

export interface PairKeys {
  /** Seals what we send, and opens what the peer sends. */
  readonly seal: Sealer;
  readonly open: Sealer;
}

export type PairPrimitives = Pick<Primitives, 'hmacSha256' | 'x25519' | 'sealer'>;

/** The salt of RFC 5869, 2.2. */
const LABEL = utf8Encode('spines pair 1');
const KEY_BYTES = 32;

/** Null when the peer's key is of low order or no key: everybody would know the secret. */
export function pairKeys(primitives: PairPrimitives, self: NodeId, own: OwnEpoch, peer: NodeId, peerKey: Uint8Array): PairKeys | null {
  const secret = primitives.x25519(own.secret.reveal(), peerKey);
  if (secret === null) return null;
  const extracted = primitives.hmacSha256(LABEL, secret);
  secret.fill(0);
  const keyOf = (source: NodeId, sourceKey: Uint8Array, destination: NodeId, destinationKey: Uint8Array): Sealer => {
    const info = new Uint8Array(8 + 2 * KEY_BYTES + 1);
    putU32(info, 0, source);
    putU32(info, 4, destination);
    info.set(sourceKey, 8);
    info.set(destinationKey, 8 + KEY_BYTES);
    // 2.3: the first block of the expansion has the number 1.
    info[8 + 2 * KEY_BYTES] = 1;
    const key = primitives.hmacSha256(extracted, info);
    const sealer = primitives.sealer(key);
    key.fill(0);
    return sealer;
  };
  const keys = { seal: keyOf(self, own.publicKey, peer, peerKey), open: keyOf(peer, peerKey, self, own.publicKey) };
  extracted.fill(0);
  return keys;
}
