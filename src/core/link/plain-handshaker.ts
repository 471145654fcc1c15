/**
 * The handshake of links that are not sealed: two messages that name receiver indices. Anybody may
 * join.
 */

import { DATAGRAM_INIT, DATAGRAM_RESPONSE, encodeDatagramHeader } from '../wire/datagram-header.ts';
import { hex } from '../base/bytes.ts';
import type { NodeId } from '../base/ids.ts';
import { DropReason } from '../wire/drop.ts';
import {
  decodeHandshake,
  encodeHandshake,
  HANDSHAKE_BYTES,
  HANDSHAKE_CHECK_AT,
  type Handshake,
} from '../wire/handshake.ts';
import { DATAGRAM_HEADER_BYTES } from '../wire/sizes.ts';
import {
  agreedVersion,
  judgeInitVersions,
  WIRE_VERSIONS,
  type VersionRange,
} from '../wire/versions.ts';
import type { Call, Handshaker, PeerHello, Run } from './handshaker.ts';

export class PlainHandshaker implements Handshaker {
  readonly sealed = false;
  readonly seal = null;
  readonly refused = null;
  readonly presented = '';
  readonly shown = '';
  readonly hello: PeerHello = {
    node: 0,
    peer: 0,
    index: 0,
    instance: 0,
    started: 0,
    version: 0,
    continues: 0,
    stamp: 0,
    preshared: [],
    certificate: null,
  };
  readonly #self: NodeId;
  readonly versions: VersionRange;
  readonly #handshake: Handshake = {
    versions: WIRE_VERSIONS,
    version: 0,
    node: 0,
    peer: 0,
    index: 0,
    instance: 0,
    started: 0,
  };

  constructor(self: NodeId, versions = WIRE_VERSIONS) {
    this.#self = self;
    this.versions = versions;
  }

  writeInit(call: Call, run: Run, out: Uint8Array): number {
    encodeDatagramHeader(DATAGRAM_INIT, call.index, call.attempts % 0x1_0000_0000, out);
    return this.#write(0, call.node ?? 0, call.index, run, out);
  }

  fingerprint(bytes: Uint8Array, length: number): string {
    // The number of the attempt differs, and the check with it; a damaged copy is not the same.
    return this.#read(bytes, length) === DropReason.none
      ? hex(bytes.subarray(DATAGRAM_HEADER_BYTES, HANDSHAKE_CHECK_AT))
      : '';
  }

  readInit(bytes: Uint8Array, length: number): DropReason {
    const reason = judgeInitVersions(bytes, length, this.versions);
    if (reason !== DropReason.none) return reason;
    const read = this.#read(bytes, length);
    // Who asks has not chosen.
    return read === DropReason.none && this.#handshake.version !== 0
      ? DropReason.handshakeMalformed
      : read;
  }

  writeResponse(
    localIndex: number,
    _continues: number,
    run: Run,
    attempt: number,
    out: Uint8Array,
  ): number {
    const { node, index, version } = this.hello;
    encodeDatagramHeader(DATAGRAM_RESPONSE, index, attempt, out);
    return this.#write(version, node, localIndex, run, out);
  }

  readResponse(_call: Call, bytes: Uint8Array, length: number): DropReason {
    const reason = this.#read(bytes, length);
    // What both would have chosen, or it is not the answer to what was sent.
    return reason === DropReason.none && this.#handshake.version !== this.hello.version
      ? DropReason.handshakeVersion
      : reason;
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

  #write(
    version: number,
    peer: NodeId,
    index: number,
    { instance, started }: Run,
    out: Uint8Array,
  ): number {
    encodeHandshake(
      { versions: this.versions, version, node: this.#self, peer, index, instance, started },
      out,
    );
    return HANDSHAKE_BYTES;
  }

  #read(bytes: Uint8Array, length: number): DropReason {
    const reason = decodeHandshake(bytes, length, this.#handshake);
    if (reason !== DropReason.none) return reason;
    const { versions, node, peer, index, instance, started } = this.#handshake;
    const version = agreedVersion(versions, this.versions);
    if (version === 0) return DropReason.handshakeVersion;
    Object.assign(this.hello, { node, peer, index, instance, started, version });
    return DropReason.none;
  }
}
