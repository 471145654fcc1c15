/**
 * The keys of a pair of nodes, one a direction and cipher, from the epoch keys of both.
 *
 * HKDF-SHA-256 (RFC 5869) over X25519(own epoch secret, peer's epoch key); the info names who seals
 * for whom and both epoch keys, so that no two directions, pairs or epochs share a key; nor do two
 * ciphers. Both ends get the same ones. That the epoch keys are the nodes' is what their signed
 * records say.
 */

import { putU32, utf8Encode } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import type { Primitives, Sealer } from '../crypto/primitives.ts';
import type { OwnEpoch } from './own-epochs.ts';

export interface PairKeys {
  /** Seals what we send, and opens what the peer sends. */
  readonly seal: Sealer;
  readonly open: Sealer;
  /** The same by AES-256-GCM. */
  readonly aesSeal: Sealer;
  readonly aesOpen: Sealer;
}

export type PairPrimitives = Pick<Primitives, 'hmacSha256' | 'x25519' | 'sealer' | 'aesSealer'>;

/** The salt of RFC 5869, 2.2. */
const LABEL = utf8Encode('spines pair 1');
const KEY_BYTES = 32;
const IDS_BYTES = 8,
  INFO_BYTES = IDS_BYTES + 2 * KEY_BYTES;
const NO_LABEL = new Uint8Array(0),
  AES = utf8Encode('aes-256-gcm');

/** Null when the peer's key is of low order or no key: everybody would know the secret. */
export function pairKeys(
  primitives: PairPrimitives,
  self: NodeId,
  own: OwnEpoch,
  peer: NodeId,
  peerKey: Uint8Array,
): PairKeys | null {
  const secret = primitives.x25519(own.secret.reveal(), peerKey);
  if (secret === null) return null;
  const extracted = primitives.hmacSha256(LABEL, secret);
  secret.fill(0);
  const sealerOf = (info: Uint8Array, aes: boolean): Sealer => {
    const label = aes ? AES : NO_LABEL,
      block = new Uint8Array(INFO_BYTES + label.length + 1);
    block.set(info, 0);
    block.set(label, INFO_BYTES);
    // 2.3: the first block of the expansion has the number 1.
    block[INFO_BYTES + label.length] = 1;
    const key = primitives.hmacSha256(extracted, block);
    const sealer = aes ? primitives.aesSealer(key) : primitives.sealer(key);
    key.fill(0);
    return sealer;
  };
  const sending = infoOf(self, own.publicKey, peer, peerKey),
    receiving = infoOf(peer, peerKey, self, own.publicKey);
  const keys = {
    seal: sealerOf(sending, false),
    open: sealerOf(receiving, false),
    aesSeal: sealerOf(sending, true),
    aesOpen: sealerOf(receiving, true),
  };
  extracted.fill(0);
  return keys;
}

function infoOf(
  source: NodeId,
  sourceKey: Uint8Array,
  destination: NodeId,
  destinationKey: Uint8Array,
): Uint8Array {
  const info = new Uint8Array(INFO_BYTES);
  putU32(info, 0, source);
  putU32(info, 4, destination);
  info.set(sourceKey, IDS_BYTES);
  info.set(destinationKey, IDS_BYTES + KEY_BYTES);
  return info;
}
