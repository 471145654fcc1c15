/**
 * A sealed INIT that was read and found true: the RESPONSE to it, and the keys that both make.
 *
 * Owns the responder's half of one Noise handshake, which is used up by `accept`. Neither budgets
 * nor links; made by sealed-handshaker.ts.
 */

import type { NoiseKeyPair, NoiseResponder, NoiseTransport } from 'spines-client/noise';
import type { Identity } from '../crypto/membership.ts';
import { idsOf, type PresharedKey } from '../crypto/preshared.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { DATAGRAM_SEALED_RESPONSE, encodeDatagramHeader } from '../wire/datagram-header.ts';
import { encodeResponsePayload, MAC_BYTES } from '../wire/sealed-handshake.ts';
import { DATAGRAM_HEADER_BYTES } from '../wire/sizes.ts';
import type { VersionRange } from '../wire/versions.ts';
import type { HandshakeMacs } from './handshake-macs.ts';
import type { Answer, Invitation, PeerHello, Run, Seal } from './handshaker.ts';

/** What it takes to answer. */
export interface ResponderSide {
  /** Has read the INIT. */
  readonly responder: NoiseResponder;
  /** Which of ours the caller meant. */
  readonly identity: Identity;
  /** All of ours. */
  readonly preshared: readonly PresharedKey[];
  /** The one that goes into the keys; null: the plain form has none. */
  readonly mixedIn: PresharedKey | null;
  readonly versions: VersionRange;
  readonly primitives: Primitives;
  readonly macs: HandshakeMacs;
  ephemeral(): NoiseKeyPair;
}

export class SealedInvitation implements Invitation {
  readonly hello: PeerHello;
  readonly #side: ResponderSide;

  constructor(hello: PeerHello, side: ResponderSide) {
    this.hello = hello;
    this.#side = side;
  }

  accept(
    localIndex: number,
    continues: number,
    run: Run,
    attempt: number,
    out: Uint8Array,
  ): Answer | null {
    const { hello } = this;
    const { responder, identity, preshared, mixedIn, versions, primitives, macs } = this.#side;
    const payload = encodeResponsePayload(
      {
        ...run,
        stamp: 0,
        index: localIndex,
        continues,
        peer: 0,
        preshared: [0, 0],
        versions,
        version: hello.version,
        certificateStart: 0,
        certificateEnd: 0,
      },
      identity.certificate.bytes,
    );
    const { peerStatic } = responder;
    const answer = responder.writeResponse(
      this.#side.ephemeral(),
      payload,
      mixedIn?.key.reveal() ?? null,
    );
    if (answer === null) return null;
    encodeDatagramHeader(DATAGRAM_SEALED_RESPONSE, hello.index, attempt, out);
    out.set(answer.message, DATAGRAM_HEADER_BYTES);
    const end = DATAGRAM_HEADER_BYTES + answer.message.length;
    out.set(macs.of(peerStatic, out, end), end);
    return {
      hello,
      seal: sealOf(primitives, answer.transport),
      shown: presentedBy(identity, preshared),
      length: end + MAC_BYTES,
    };
  }
}

export function sealOf(primitives: Primitives, { send, receive }: NoiseTransport): Seal {
  return { send: primitives.sealer(send), receive: primitives.sealer(receive) };
}

/** Name of what a handshake is made with: our certificate and our pre-shared keys. */
export function presentedBy({ certificate }: Identity, preshared: readonly PresharedKey[]): string {
  return `${certificate.serial} ${idsOf(preshared).join(' ')}`;
}
