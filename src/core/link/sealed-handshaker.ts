/**
 * The handshake of sealed links: Noise IK with certificates both ways, cookies under load, and the
 * question for a key.
 *
 * Owns budgets for work that strangers can cause and the ephemeral keys of calls; cookies are
 * cookies.ts's. Never a link. The order of checks is the order of their cost: length, MAC (needs
 * our public key), budget or cookie (needs the source address), key exchange, certificate. Nothing
 * is remembered of a stranger but a token bucket of its address, and of those a bounded number.
 */

import {
  NoiseInitiator,
  NoiseResponder,
  NOISE_INIT_OVERHEAD,
  NOISE_RESPONSE_OVERHEAD,
  type NoiseKeyPair,
} from 'spines-client/noise';
import { assert } from '../base/assert.ts';
import { copyOf, equalBytes, hex, putU32, utf8Encode } from '../base/bytes.ts';
import type { DatagramSink, Endpoint } from '../base/datagram.ts';
import { SharedBudget } from '../base/shared-budget.ts';
import { SourceBudget, sourceOf } from '../base/source-budget.ts';
import type { Clock } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Identity, Membership } from '../crypto/membership.ts';
import { commonKey, idsOf } from '../crypto/preshared.ts';
import { decodeCertificate, ROLE_ROUTER } from '../wire/certificate.ts';
import {
  DATAGRAM_COOKIE,
  DATAGRAM_KEY_ANSWER,
  DATAGRAM_KEY_REQUEST,
  DATAGRAM_SEALED_INIT,
  encodeDatagramHeader,
  numberAt,
} from '../wire/datagram-header.ts';
import { DropReason } from '../wire/drop.ts';
import {
  COOKIE_DATAGRAM_BYTES,
  decodeInitPayload,
  decodeResponsePayload,
  encodeInitPayload,
  INIT_NOISE_START,
  initNoiseEnd,
  isWideInit,
  KEY_AT,
  KEY_DATAGRAM_BYTES,
  KEY_NONCE_AT,
  KEY_NONCE_BYTES,
  MAC_BYTES,
  NOISE_INIT_EXTRA,
  NOISE_RESPONSE_EXTRA,
  responseNoiseEnd,
  WIDE_INIT_BYTES,
  type SealedHello,
} from '../wire/sealed-handshake.ts';
import { DATAGRAM_HEADER_BYTES } from '../wire/sizes.ts';
import {
  agreedVersion,
  judgeInitVersions,
  putVersions,
  VERSIONS_BYTES,
  versionsAt,
  WIRE_VERSIONS,
  type VersionRange,
} from '../wire/versions.ts';
import { COOKIE_LIFETIME } from './cookie-secrets.ts';
import { COOKIE_BUDGET, Cookies } from './cookies.ts';
import { HandshakeMacs, NO_MAC } from './handshake-macs.ts';
import {
  Declined,
  HANDSHAKES_BURST,
  HANDSHAKES_PER_SECOND,
  type Agreement,
  type Call,
  type Handshaker,
  type Heard,
  type Invitation,
  type PeerHello,
  type Run,
} from './handshaker.ts';
import { Secrets } from './sealed-call.ts';
import { presentedBy, SealedInvitation, sealOf } from './sealed-invitation.ts';

assert(
  NOISE_INIT_EXTRA === NOISE_INIT_OVERHEAD && NOISE_RESPONSE_EXTRA === NOISE_RESPONSE_OVERHEAD,
  'the wire has room for Noise',
);

/**
 * Both sides hash it first, and the versions that the INIT names: who changes them on the way
 * breaks the handshake.
 */
const PROLOGUE = utf8Encode('spines link 2');
/**
 * Below this many handshakes in the budget, whoever calls must show that its address is its own.
 */
const COOKIES_BELOW = HANDSHAKES_BURST / 2;
/** Handshakes of one address (IPv6: of the /64) while cookies are asked for. */
const SOURCE_PER_SECOND = 10,
  SOURCE_BURST = 20,
  SOURCES_MAX = 1_024;
/**
 * Keys handed out, for which anybody may ask who knows nothing: a budget of their own, so that
 * cookies do not want for it.
 */
const KEYS = COOKIE_BUDGET;
/**
 * Answers to one call may be forged by whoever sees our index: of all calls, and of each, so that
 * one that is flooded leaves the others theirs.
 */
const RESPONSES_PER_SECOND = 400,
  RESPONSES_BURST = 200,
  CALL_PER_SECOND = 10,
  CALL_BURST = 10;
/**
 * A call that has repeated itself this often begins anew, with the key asked for again if it was
 * not given by the operator.
 */
const ROUND_ATTEMPTS = 12;
/**
 * A cookie answers one of the last so many INITs of a call: who is further away than the pause
 * between them has sent more before it comes.
 */
const MACS_KEPT = 16;

export class SealedHandshaker implements Handshaker {
  readonly sealed = true;
  readonly versions: VersionRange;
  readonly #membership: Membership;
  readonly #clock: Clock;
  readonly #sink: DatagramSink;
  readonly #work = new TokenBucket(HANDSHAKES_PER_SECOND, HANDSHAKES_BURST);
  readonly #responses = new TokenBucket(RESPONSES_PER_SECOND, RESPONSES_BURST);
  readonly #macs: HandshakeMacs;
  readonly #cookies: Cookies;
  readonly #keys = new SharedBudget(KEYS);
  readonly #callResponses = new WeakMap<Call, TokenBucket>();
  readonly #sources = new SourceBudget(SOURCE_PER_SECOND, SOURCE_BURST, SOURCES_MAX);
  /** What is sent at once is laid out here. */
  readonly #scratch = new Uint8Array(WIDE_INIT_BYTES);
  /** Questions for a key have nonces that follow from it. */
  readonly #keyNonce = new Uint8Array(KEY_NONCE_BYTES);
  #stamp = 0;
  /** INITs whose key exchange was worked out. */
  worked = 0;

  constructor(membership: Membership, clock: Clock, sink: DatagramSink, versions = WIRE_VERSIONS) {
    this.#membership = membership;
    this.versions = versions;
    this.#clock = clock;
    this.#sink = sink;
    this.#macs = new HandshakeMacs(membership);
    this.#cookies = new Cookies(membership, clock, this.#macs);
    membership.random.fill(this.#keyNonce);
  }

  get presented(): string {
    return presentedBy(this.#membership.identity, this.#membership.preshared);
  }

  /* -------------------------------------------------------------- calling */

  writeInit(call: Call, run: Run, out: Uint8Array): number {
    if (call.key === null) return this.writeKeyQuestion(call, out);
    const held = call.secrets instanceof Secrets ? call.secrets : null;
    const stale =
      held === null ||
      held.key !== call.key ||
      held.continues !== call.continues ||
      held.identity !== this.#membership.identity ||
      held.preshared !== this.#membership.preshared ||
      (call.attempts > 0 && call.attempts % ROUND_ATTEMPTS === 0);
    const secrets = stale ? this.#newRound(call, call.key, run) : held;
    if (secrets === null) return 0;
    encodeDatagramHeader(DATAGRAM_SEALED_INIT, call.index, call.attempts, out);
    putVersions(out, DATAGRAM_HEADER_BYTES, this.versions);
    out.set(secrets.message, INIT_NOISE_START);
    const end = INIT_NOISE_START + secrets.message.length;
    const mac = this.#macs.of(secrets.key, out, end);
    secrets.macs.set(call.attempts, mac);
    secrets.macs.delete(call.attempts - MACS_KEPT);
    out.set(mac, end);
    const cookie =
      secrets.cookie !== null && this.#clock.now() < secrets.cookieUntil ? secrets.cookie : null;
    const at = end + MAC_BYTES;
    out.set(cookie === null ? NO_MAC : this.#macs.keyed(cookie, out.subarray(0, at)), at);
    return at + MAC_BYTES;
  }

  #newRound(call: Call, key: Uint8Array, run: Run): Secrets | null {
    const { identity, preshared, primitives } = this.#membership;
    const ephemeral = this.#ephemeral();
    this.#stamp = Math.max(this.#stamp + 1, Math.floor(this.#membership.wallUs / 100));
    const hello: SealedHello = {
      ...emptyHello(),
      ...run,
      stamp: this.#stamp,
      index: call.index,
      continues: call.continues,
      peer: call.node ?? 0,
      preshared: idsOf(preshared),
      versions: this.versions,
    };
    const wide = isWideInit(hello, identity.certificate.bytes),
      payload = encodeInitPayload(hello, identity.certificate.bytes);
    const message = new NoiseInitiator(
      primitives,
      prologueOf(this.versions),
      staticOf(identity),
      ephemeral,
      key,
      wide,
    ).writeInit(payload);
    if (message === null) return null;
    const secrets = new Secrets(
      key,
      identity,
      call.continues,
      wide,
      preshared,
      ephemeral,
      payload,
      message,
    );
    const before = call.secrets instanceof Secrets ? call.secrets : null;
    if (before !== null && equalBytes(before.key, key)) {
      // What a cookie says of our address is as true of this round; those under way are not lost.
      const { macs, cookie, cookieUntil } = before;
      Object.assign(secrets, { macs, cookie, cookieUntil });
    }
    call.secrets = secrets;
    return secrets;
  }

  writeKeyQuestion(call: Call, out: Uint8Array): number {
    encodeDatagramHeader(DATAGRAM_KEY_REQUEST, call.index, call.attempts, out);
    out.set(this.#nonceOf(call), KEY_NONCE_AT);
    out.fill(0, KEY_AT, KEY_DATAGRAM_BYTES);
    return KEY_DATAGRAM_BYTES;
  }

  /** A stranger who has not seen the question cannot answer it. */
  #nonceOf(call: Call): Uint8Array {
    const index = new Uint8Array(4);
    putU32(index, 0, call.index);
    return this.#membership.primitives
      .hmacSha256(this.#keyNonce, index)
      .subarray(0, KEY_NONCE_BYTES);
  }

  readResponse(call: Call, bytes: Uint8Array, length: number): Agreement | Declined {
    const end = responseNoiseEnd(length);
    if (end === 0) return Declined.unread(DropReason.handshakeMalformed);
    const secrets = call.secrets instanceof Secrets ? call.secrets : null;
    if (secrets === null) return Declined.unread(DropReason.handshakeUnexpected);
    if (!this.#macs.fits(secrets.identity.exchange.publicKey, bytes, end))
      return Declined.unread(DropReason.handshakeMacWrong);
    if (!this.#takeResponse(call)) return Declined.unread(DropReason.handshakeOverBudget);
    const answer = this.#openResponse(secrets, bytes.subarray(DATAGRAM_HEADER_BYTES, end));
    if (answer === null) return Declined.unread(DropReason.handshakeBroken);
    const fields = emptyHello();
    const reason = decodeResponsePayload(answer.payload, fields);
    if (reason !== DropReason.none) return Declined.unread(reason);
    if (fields.version !== agreedVersion(fields.versions, this.versions))
      return Declined.unread(DropReason.handshakeVersion);
    fields.peer = this.#membership.identity.certificate.node;
    const hello = this.#meet(answer.payload, secrets.key, fields);
    if (hello instanceof Declined) return hello;
    return {
      hello,
      seal: sealOf(this.#membership.primitives, answer.transport),
      shown: presentedBy(secrets.identity, secrets.preshared),
    };
  }

  /** Which of our pre-shared keys was used shows by which of them opens it. */
  #openResponse(secrets: Secrets, message: Uint8Array): ReturnType<NoiseInitiator['readResponse']> {
    const { primitives } = this.#membership;
    for (const { key } of secrets.wide ? secrets.preshared : secrets.preshared.slice(0, 1)) {
      // A forged answer must not spoil the call, nor a key that was not used: the initiator's state
      // is made anew for each.
      const noise = new NoiseInitiator(
        primitives,
        prologueOf(this.versions),
        staticOf(secrets.identity),
        secrets.ephemeral,
        secrets.key,
        secrets.wide,
      );
      noise.writeInit(secrets.payload);
      const answer = noise.readResponse(message, secrets.wide ? key.reveal() : null);
      if (answer !== null) return answer;
    }
    return null;
  }

  #takeResponse(call: Call): boolean {
    const now = this.#clock.now();
    let own = this.#callResponses.get(call);
    if (own === undefined)
      this.#callResponses.set(call, (own = new TokenBucket(CALL_PER_SECOND, CALL_BURST)));
    return own.take(now) && this.#responses.take(now);
  }

  /* -------------------------------------------------------------- being called */

  fingerprint(bytes: Uint8Array, length: number): string {
    return initNoiseEnd(length) > 0
      ? hex(bytes.subarray(INIT_NOISE_START, INIT_NOISE_START + 32))
      : '';
  }

  readInit(
    bytes: Uint8Array,
    length: number,
    from: Endpoint,
    behind = false,
  ): Invitation | Declined {
    const told = judgeInitVersions(bytes, length, this.versions);
    if (told !== DropReason.none) return Declined.unread(told);
    const end = initNoiseEnd(length);
    if (end === 0) return Declined.unread(DropReason.handshakeMalformed);
    const { identity: current, previous, preshared, primitives } = this.#membership;
    const identity = [current, ...previous].find((own) =>
      this.#macs.fits(own.exchange.publicKey, bytes, end),
    );
    if (identity === undefined) return Declined.unread(DropReason.handshakeMacWrong);
    const admitted = this.#admitWork(bytes, end, from, identity, behind);
    if (admitted !== DropReason.none) return Declined.unread(admitted);
    this.worked += 1;
    const wide = length === WIDE_INIT_BYTES;
    const versions = versionsAt(bytes, DATAGRAM_HEADER_BYTES);
    const responder = new NoiseResponder(
      primitives,
      prologueOf(versions),
      staticOf(identity),
      wide,
    );
    const payload = responder.readInit(bytes.subarray(INIT_NOISE_START, end));
    if (payload === null) return Declined.unread(DropReason.handshakeBroken);
    const fields = emptyHello();
    const reason = decodeInitPayload(payload, fields);
    if (reason !== DropReason.none) return Declined.unread(reason);
    fields.version = agreedVersion(versions, this.versions);
    const hello = this.#meet(payload, responder.peerStatic, fields);
    if (hello instanceof Declined) return hello;
    const common = commonKey(preshared, hello.preshared);
    if (common === null) return Declined.sender(DropReason.handshakePresharedKey, hello);
    return new SealedInvitation(hello, {
      responder,
      identity,
      preshared,
      mixedIn: wide ? common : null,
      versions: this.versions,
      primitives,
      macs: this.#macs,
      ephemeral: () => this.#ephemeral(),
    });
  }

  /** Whether an INIT may cost us a key exchange. */
  #admitWork(
    bytes: Uint8Array,
    end: number,
    from: Endpoint,
    identity: Identity,
    behind: boolean,
  ): DropReason {
    const now = this.#clock.now();
    if (this.#work.level(now) < COOKIES_BELOW) {
      if (!this.#cookies.fits(bytes, end, from)) {
        if (behind || !this.#cookies.take(sourceOf(from.address), now))
          return DropReason.handshakeOverBudget;
        this.#sink.send(
          from,
          this.#scratch,
          this.#cookies.write(bytes, end, from, identity, this.#scratch),
        );
        return DropReason.handshakeCookieAsked;
      }
      if (!this.#sources.take(sourceOf(from.address), now)) return DropReason.handshakeOverBudget;
    }
    return this.#work.take(now) ? DropReason.none : DropReason.handshakeOverBudget;
  }

  /**
   * The sender of the message has the certificate that `fields` places, and the static key in it.
   */
  #meet(payload: Uint8Array, peerStatic: Uint8Array, fields: SealedHello): PeerHello | Declined {
    const { certificateStart, certificateEnd, stamp } = fields;
    const certificate = this.#membership.admit(
      payload,
      certificateStart,
      certificateEnd,
      ROLE_ROUTER,
    );
    if (typeof certificate === 'number') {
      const shown = decodeCertificate(payload, certificateStart, certificateEnd);
      // Whoever holds another's certificate without its key has shown nothing.
      const own = typeof shown !== 'string' && equalBytes(shown.exchangeKey, peerStatic);
      return Declined.certificate(certificate, own ? shown : null, stamp);
    }
    if (!equalBytes(certificate.exchangeKey, peerStatic))
      return Declined.certificate(DropReason.certificateOfAnother, null, stamp);
    const { peer, index, instance, started, version, continues, preshared } = fields;
    return {
      node: certificate.node,
      peer,
      index,
      instance,
      started,
      version,
      continues,
      stamp,
      preshared,
      certificate,
    };
  }

  /* -------------------------------------------------------------- cookies and keys */

  onOther(bytes: Uint8Array, length: number, from: Endpoint, call: Call | null): Heard {
    if (bytes[0] === DATAGRAM_KEY_REQUEST) return heard(this.#onKeyRequest(bytes, length, from));
    if (bytes[0] !== DATAGRAM_COOKIE && bytes[0] !== DATAGRAM_KEY_ANSWER)
      return heard(DropReason.securityMismatch);
    if (call === null) return heard(DropReason.handshakeUnexpected);
    return bytes[0] === DATAGRAM_COOKIE
      ? this.#onCookie(bytes, length, call)
      : this.#onKeyAnswer(bytes, length, call);
  }

  #onKeyRequest(bytes: Uint8Array, length: number, from: Endpoint): DropReason {
    if (length !== KEY_DATAGRAM_BYTES) return DropReason.handshakeMalformed;
    for (let at = KEY_AT; at < length; at += 1)
      if (bytes[at] !== 0) return DropReason.reservedNotZero;
    if (!this.#keys.take(sourceOf(from.address), this.#clock.now()))
      return DropReason.handshakeOverBudget;
    const out = this.#scratch;
    out.set(bytes.subarray(0, KEY_AT), 0);
    out[0] = DATAGRAM_KEY_ANSWER;
    out.set(this.#membership.identity.exchange.publicKey, KEY_AT);
    this.#sink.send(from, out, KEY_DATAGRAM_BYTES);
    return DropReason.none;
  }

  #onKeyAnswer(bytes: Uint8Array, length: number, call: Call): Heard {
    if (length !== KEY_DATAGRAM_BYTES) return heard(DropReason.keyAnswerMalformed);
    if (
      (call.key !== null && call.asksKey !== true) ||
      !equalBytes(bytes.subarray(KEY_NONCE_AT, KEY_AT), this.#nonceOf(call))
    )
      return heard(DropReason.handshakeUnexpected);
    const key = copyOf(bytes, KEY_AT, KEY_DATAGRAM_BYTES);
    const retry = call.key === null;
    call.key ??= key;
    return { reason: DropReason.none, key, retry };
  }

  #onCookie(bytes: Uint8Array, length: number, call: Call): Heard {
    const secrets = call.secrets instanceof Secrets ? call.secrets : null;
    if (length !== COOKIE_DATAGRAM_BYTES) return heard(DropReason.handshakeMalformed);
    const mac = secrets?.macs.get(numberAt(bytes));
    if (secrets === null || mac === undefined) return heard(DropReason.handshakeUnexpected);
    const cookie = this.#cookies.open(bytes, length, secrets.key, mac);
    if (cookie === null) return heard(DropReason.cookieBroken);
    // A second cookie for the same INIT says that the first was not taken: no hurry then.
    const retry = secrets.cookie === null;
    secrets.cookie = cookie;
    secrets.cookieUntil = this.#clock.now() + COOKIE_LIFETIME;
    return { reason: DropReason.none, key: null, retry };
  }

  /* -------------------------------------------------------------- shared */

  #ephemeral(): NoiseKeyPair {
    const secret = this.#draw(32);
    return { secret, publicKey: this.#membership.primitives.x25519PublicKey(secret) };
  }

  #draw(count: number): Uint8Array {
    const out = new Uint8Array(count);
    this.#membership.random.fill(out);
    return out;
  }
}

function prologueOf(versions: VersionRange): Uint8Array {
  const prologue = new Uint8Array(PROLOGUE.length + VERSIONS_BYTES);
  prologue.set(PROLOGUE);
  putVersions(prologue, PROLOGUE.length, versions);
  return prologue;
}

function staticOf({ exchange }: Identity): NoiseKeyPair {
  return { secret: exchange.secret.reveal(), publicKey: exchange.publicKey };
}

function heard(reason: DropReason): Heard {
  return { reason, key: null, retry: false };
}

function emptyHello(): SealedHello {
  return {
    stamp: 0,
    index: 0,
    instance: 0,
    started: 0,
    continues: 0,
    peer: 0,
    preshared: [0, 0],
    versions: WIRE_VERSIONS,
    version: 0,
    certificateStart: 0,
    certificateEnd: 0,
  };
}
