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
  type NoiseTransport,
} from 'spines-client/noise';
import { assert } from '../base/assert.ts';
import { copyOf, equalBytes, hex, putU32, utf8Encode } from '../base/bytes.ts';
import type { DatagramSink, Endpoint } from '../base/datagram.ts';
import type { NodeId } from '../base/ids.ts';
import { SharedBudget } from '../base/shared-budget.ts';
import { SourceBudget, sourceOf } from '../base/source-budget.ts';
import type { Clock } from '../base/time.ts';
import { TokenBucket } from '../base/token-bucket.ts';
import type { Identity, Membership } from '../crypto/membership.ts';
import { commonKey, idsOf, type PresharedKey } from '../crypto/preshared.ts';
import { decodeCertificate, ROLE_ROUTER, type Certificate } from '../wire/certificate.ts';
import {
  DATAGRAM_COOKIE,
  DATAGRAM_KEY_ANSWER,
  DATAGRAM_KEY_REQUEST,
  DATAGRAM_SEALED_INIT,
  DATAGRAM_SEALED_RESPONSE,
  encodeDatagramHeader,
  numberAt,
} from '../wire/datagram-header.ts';
import { DropReason } from '../wire/drop.ts';
import {
  COOKIE_DATAGRAM_BYTES,
  decodeInitPayload,
  decodeResponsePayload,
  encodeInitPayload,
  encodeResponsePayload,
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
  HANDSHAKES_BURST,
  HANDSHAKES_PER_SECOND,
  type Call,
  type Handshaker,
  type PeerHello,
  type Run,
  type Seal,
} from './handshaker.ts';
import { Secrets } from './sealed-call.ts';

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
  readonly hello: PeerHello = {
    node: 0,
    peer: 0,
    index: 0,
    instance: 0,
    started: 0,
    version: 0,
    continues: 0,
    stamp: 0,
    preshared: [0, 0],
    certificate: null,
  };
  seal: Seal | null = null;
  refused: Certificate | null = null;
  shown = '';
  readonly #membership: Membership;
  readonly #clock: Clock;
  readonly #sink: DatagramSink;
  readonly #fields: SealedHello = {
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
  #responder: NoiseResponder | null = null;
  #responderIdentity: Identity | null = null;
  #responderKey: PresharedKey | null = null;
  /** The INIT had the wide form. */
  #wide = false;
  #stamp = 0;
  #retry = false;
  #keyShown: Uint8Array | null = null;
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
    return nameOf(this.#membership.identity, this.#membership.preshared);
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
      ...run,
      stamp: this.#stamp,
      index: call.index,
      continues: call.continues,
      peer: call.node ?? 0,
      preshared: idsOf(preshared),
      versions: this.versions,
      version: 0,
      certificateStart: 0,
      certificateEnd: 0,
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

  readResponse(call: Call, bytes: Uint8Array, length: number): DropReason {
    this.refused = null;
    const end = responseNoiseEnd(length);
    if (end === 0) return DropReason.handshakeMalformed;
    const secrets = call.secrets instanceof Secrets ? call.secrets : null;
    if (secrets === null) return DropReason.handshakeUnexpected;
    if (!this.#macs.fits(secrets.identity.exchange.publicKey, bytes, end))
      return DropReason.handshakeMacWrong;
    if (!this.#takeResponse(call)) return DropReason.handshakeOverBudget;
    const answer = this.#openResponse(secrets, bytes.subarray(DATAGRAM_HEADER_BYTES, end));
    if (answer === null) return DropReason.handshakeBroken;
    const reason = decodeResponsePayload(answer.payload, this.#fields);
    if (reason !== DropReason.none) return reason;
    const { versions, version } = this.#fields;
    if (version !== agreedVersion(versions, this.versions)) return DropReason.handshakeVersion;
    const met = this.#meet(answer.payload, secrets.key, this.#membership.identity.certificate.node);
    if (met === DropReason.none) this.#agree(answer.transport, secrets.identity, secrets.preshared);
    return met;
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

  readInit(bytes: Uint8Array, length: number, from: Endpoint, behind = false): DropReason {
    this.refused = null;
    const told = judgeInitVersions(bytes, length, this.versions);
    if (told !== DropReason.none) return told;
    const end = initNoiseEnd(length);
    if (end === 0) return DropReason.handshakeMalformed;
    const { identity: current, previous, primitives } = this.#membership;
    const identity = [current, ...previous].find((own) =>
      this.#macs.fits(own.exchange.publicKey, bytes, end),
    );
    if (identity === undefined) return DropReason.handshakeMacWrong;
    const admitted = this.#admitWork(bytes, end, from, identity, behind);
    if (admitted !== DropReason.none) return admitted;
    this.worked += 1;
    const versions = versionsAt(bytes, DATAGRAM_HEADER_BYTES);
    const responder = new NoiseResponder(
      primitives,
      prologueOf(versions),
      staticOf(identity),
      length === WIDE_INIT_BYTES,
    );
    const payload = responder.readInit(bytes.subarray(INIT_NOISE_START, end));
    if (payload === null) return DropReason.handshakeBroken;
    const reason = decodeInitPayload(payload, this.#fields);
    if (reason !== DropReason.none) return reason;
    this.#fields.version = agreedVersion(versions, this.versions);
    this.#responder = responder;
    this.#wide = length === WIDE_INIT_BYTES;
    this.#responderIdentity = identity;
    const met = this.#meet(payload, responder.peerStatic, this.#fields.peer);
    if (met !== DropReason.none) return met;
    this.#responderKey = commonKey(this.#membership.preshared, this.hello.preshared);
    return this.#responderKey === null ? DropReason.handshakePresharedKey : DropReason.none;
  }

  writeResponse(
    localIndex: number,
    continues: number,
    run: Run,
    attempt: number,
    out: Uint8Array,
  ): number {
    const responder = this.#responder!;
    const payload = encodeResponsePayload(
      {
        ...run,
        stamp: 0,
        index: localIndex,
        continues,
        peer: 0,
        preshared: [0, 0],
        versions: this.versions,
        version: this.hello.version,
        certificateStart: 0,
        certificateEnd: 0,
      },
      this.#responderIdentity!.certificate.bytes,
    );
    const peerStatic = responder.peerStatic;
    const answer = responder.writeResponse(
      this.#ephemeral(),
      payload,
      this.#wide ? this.#responderKey!.key.reveal() : null,
    );
    this.#responder = null;
    if (answer === null) return 0;
    this.#agree(answer.transport, this.#responderIdentity!, this.#membership.preshared);
    encodeDatagramHeader(DATAGRAM_SEALED_RESPONSE, this.hello.index, attempt, out);
    out.set(answer.message, DATAGRAM_HEADER_BYTES);
    const end = DATAGRAM_HEADER_BYTES + answer.message.length;
    out.set(this.#macs.of(peerStatic, out, end), end);
    return end + MAC_BYTES;
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

  /** The sender of the message has this certificate, and the static key in it. */
  #meet(payload: Uint8Array, peerStatic: Uint8Array, meant: NodeId): DropReason {
    const fields = this.#fields;
    const certificate = this.#membership.admit(
      payload,
      fields.certificateStart,
      fields.certificateEnd,
      ROLE_ROUTER,
    );
    const { hello } = this;
    hello.stamp = fields.stamp;
    if (typeof certificate === 'number') {
      const shown = decodeCertificate(payload, fields.certificateStart, fields.certificateEnd);
      // Whoever holds another's certificate without its key has shown nothing.
      if (typeof shown !== 'string')
        this.refused = equalBytes(shown.exchangeKey, peerStatic) ? shown : null;
      return certificate;
    }
    if (!equalBytes(certificate.exchangeKey, peerStatic)) return DropReason.certificateOfAnother;
    hello.node = certificate.node;
    hello.peer = meant;
    hello.index = fields.index;
    hello.instance = fields.instance;
    hello.started = fields.started;
    hello.version = fields.version;
    hello.continues = fields.continues;
    hello.preshared = fields.preshared;
    hello.certificate = certificate;
    return DropReason.none;
  }

  #agree(transport: NoiseTransport, shown: Identity, preshared: readonly PresharedKey[]): void {
    const { primitives } = this.#membership;
    this.shown = nameOf(shown, preshared);
    this.seal = {
      send: primitives.sealer(transport.send),
      receive: primitives.sealer(transport.receive),
    };
  }

  /* -------------------------------------------------------------- cookies and keys */

  onOther(bytes: Uint8Array, length: number, from: Endpoint, call: Call | null): DropReason {
    if (bytes[0] === DATAGRAM_KEY_REQUEST) return this.#onKeyRequest(bytes, length, from);
    if (bytes[0] !== DATAGRAM_COOKIE && bytes[0] !== DATAGRAM_KEY_ANSWER)
      return DropReason.securityMismatch;
    if (call === null) return DropReason.handshakeUnexpected;
    return bytes[0] === DATAGRAM_COOKIE
      ? this.#onCookie(bytes, length, call)
      : this.#onKeyAnswer(bytes, length, call);
  }

  takeRetry(): boolean {
    const retry = this.#retry;
    this.#retry = false;
    return retry;
  }

  takeKeyShown(): Uint8Array | null {
    const shown = this.#keyShown;
    this.#keyShown = null;
    return shown;
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

  #onKeyAnswer(bytes: Uint8Array, length: number, call: Call): DropReason {
    if (length !== KEY_DATAGRAM_BYTES) return DropReason.keyAnswerMalformed;
    if (
      (call.key !== null && call.asksKey !== true) ||
      !equalBytes(bytes.subarray(KEY_NONCE_AT, KEY_AT), this.#nonceOf(call))
    )
      return DropReason.handshakeUnexpected;
    this.#keyShown = copyOf(bytes, KEY_AT, KEY_DATAGRAM_BYTES);
    if (call.key !== null) return DropReason.none;
    call.key = this.#keyShown;
    this.#retry = true;
    return DropReason.none;
  }

  #onCookie(bytes: Uint8Array, length: number, call: Call): DropReason {
    const secrets = call.secrets instanceof Secrets ? call.secrets : null;
    if (length !== COOKIE_DATAGRAM_BYTES) return DropReason.handshakeMalformed;
    const mac = secrets?.macs.get(numberAt(bytes));
    if (secrets === null || mac === undefined) return DropReason.handshakeUnexpected;
    const cookie = this.#cookies.open(bytes, length, secrets.key, mac);
    if (cookie === null) return DropReason.cookieBroken;
    // A second cookie for the same INIT says that the first was not taken: no hurry then.
    this.#retry = secrets.cookie === null;
    secrets.cookie = cookie;
    secrets.cookieUntil = this.#clock.now() + COOKIE_LIFETIME;
    return DropReason.none;
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

/** Of what a handshake was made with. */
function nameOf({ certificate }: Identity, preshared: readonly PresharedKey[]): string {
  return `${certificate.serial} ${idsOf(preshared).join(' ')}`;
}
