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
import {
  Declined,
  type Agreement,
  type Answer,
  type Call,
  type Handshaker,
  type Heard,
  type Invitation,
  type PeerHello,
  type Run,
} from './handshaker.ts';

const NOT_SEALED: Heard = { reason: DropReason.securityMismatch, key: null, retry: false };

export class PlainHandshaker implements Handshaker {
  readonly sealed = false;
  readonly presented = '';
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
    return typeof this.#read(bytes, length) === 'number'
      ? ''
      : hex(bytes.subarray(DATAGRAM_HEADER_BYTES, HANDSHAKE_CHECK_AT));
  }

  readInit(bytes: Uint8Array, length: number): Invitation | Declined {
    const reason = judgeInitVersions(bytes, length, this.versions);
    if (reason !== DropReason.none) return Declined.unread(reason);
    const hello = this.#read(bytes, length);
    if (typeof hello === 'number') return Declined.unread(hello);
    // Who asks has not chosen.
    if (this.#handshake.version !== 0) return Declined.unread(DropReason.handshakeMalformed);
    return {
      hello,
      accept: (localIndex, _continues, run, attempt, out): Answer => {
        encodeDatagramHeader(DATAGRAM_RESPONSE, hello.index, attempt, out);
        const length = this.#write(hello.version, hello.node, localIndex, run, out);
        return { hello, seal: null, shown: '', length };
      },
    };
  }

  readResponse(_call: Call, bytes: Uint8Array, length: number): Agreement | Declined {
    const hello = this.#read(bytes, length);
    if (typeof hello === 'number') return Declined.unread(hello);
    // What both would have chosen, or it is not the answer to what was sent.
    if (this.#handshake.version !== hello.version)
      return Declined.unread(DropReason.handshakeVersion);
    return { hello, seal: null, shown: '' };
  }

  writeKeyQuestion(): number {
    return 0;
  }

  onOther(): Heard {
    return NOT_SEALED;
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

  #read(bytes: Uint8Array, length: number): PeerHello | DropReason {
    const reason = decodeHandshake(bytes, length, this.#handshake);
    if (reason !== DropReason.none) return reason;
    const { versions, node, peer, index, instance, started } = this.#handshake;
    const version = agreedVersion(versions, this.versions);
    if (version === 0) return DropReason.handshakeVersion;
    return {
      node,
      peer,
      index,
      instance,
      started,
      version,
      continues: 0,
      stamp: 0,
      preshared: [],
      certificate: null,
    };
  }
}
