/**
 * The handshake of links that are not sealed: two messages that name receiver indices. Anybody may join.
 */

import { DATAGRAM_INIT, DATAGRAM_RESPONSE, encodeDatagramHeader } from '../wire/datagram-header.ts';
import { hex } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { DropReason } from '../wire/drop.ts';
import { decodeHandshake, encodeHandshake, HANDSHAKE_BYTES, type Handshake } from '../wire/handshake.ts';
import { DATAGRAM_HEADER_BYTES } from '../wire/sizes.ts';
import type { Call, Handshaker, PeerHello } from './handshaker.ts';

export class PlainHandshaker implements Handshaker {
  readonly sealed = false;
  readonly seal = null;
  readonly refused = null;
  readonly presented = '';
  readonly shown = '';
  readonly hello: PeerHello = { node: 0, peer: 0, index: 0, instance: 0, continues: 0, stamp: 0, certificate: null };
  readonly #self: NodeId;
  readonly #handshake: Handshake = { node: 0, peer: 0, index: 0, instance: 0 };

  constructor(self: NodeId) {
    this.#self = self;
  }

  writeInit(call: Call, instance: number, out: Uint8Array): number {
    encodeDatagramHeader(DATAGRAM_INIT, 0, call.attempts % 0x1_0000_0000, out);
    return this.#write({ node: this.#self, peer: call.node ?? 0, index: call.index, instance }, out);
  }

  fingerprint(bytes: Uint8Array, length: number): string {
    // The number of the attempt differs, and the check with it; a damaged copy is not the same.
    return this.#read(bytes, length) === DropReason.none ? hex(bytes.subarray(DATAGRAM_HEADER_BYTES, DATAGRAM_HEADER_BYTES + 18)) : '';
  }

  readInit(bytes: Uint8Array, length: number): DropReason {
    return this.#read(bytes, length);
  }

  writeResponse(localIndex: number, _continues: number, instance: number, attempt: number, out: Uint8Array): number {
    const { node, index } = this.hello;
    encodeDatagramHeader(DATAGRAM_RESPONSE, index, attempt, out);
    return this.#write({ node: this.#self, peer: node, index: localIndex, instance }, out);
  }

  readResponse(_call: Call, bytes: Uint8Array, length: number): DropReason {
    return this.#read(bytes, length);
  }

  writeKeyQuestion(): number {
    return 0;
  }

  takeKeyShown(): null {
    return null;
  }

  onOther(): DropReason {
    return DropReason.securityMismatch;
  }

  takeRetry(): boolean {
    return false;
  }

  #write(handshake: Handshake, out: Uint8Array): number {
    encodeHandshake(handshake, out);
    return HANDSHAKE_BYTES;
  }

  #read(bytes: Uint8Array, length: number): DropReason {
    const reason = decodeHandshake(bytes, length, this.#handshake);
    if (reason !== DropReason.none) return reason;
    const { node, peer, index, instance } = this.#handshake;
    Object.assign(this.hello, { node, peer, index, instance });
    return DropReason.none;
  }
}
