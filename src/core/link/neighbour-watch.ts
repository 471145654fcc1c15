/**
 * Finds out why neighbours have no link and whom this daemon refuses, and says so.
 *
 * Owns the questions that are asked for that alone (the key at an address that leaves calls
 * unanswered, the system's word on one that is silent), the warning in the log once a neighbour was
 * without a link for 5 s, and the log of refused calls. Changes no link: what it learns is told,
 * never acted on, so that who forges answers changes words only. The link table calls it where it
 * refuses or learns something, and once a second.
 */

import { equalBytes } from '../base/bytes.ts';
import { makeEndpoint, type Endpoint } from '../base/datagram.ts';
import { formatNodeId, NO_NODE, type NodeId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { MILLISECOND, SECOND, type Clock, type Micros } from '../base/time.ts';
import type { CertificateVerdict } from '../crypto/certificates.ts';
import type { Membership } from '../crypto/membership.ts';
import type { Certificate } from '../wire/certificate.ts';
import { DropReason } from '../wire/drop.ts';
import { presharedFault } from '../crypto/preshared.ts';
import {
  REFUSAL_KEY,
  REFUSAL_PRESHARED_KEY,
  REFUSAL_TWIN,
  REFUSAL_VERSION,
  refusalText,
  versionsText,
} from '../wire/refusal.ts';
import type { AddressProbe, ProbeResult } from '../base/address-probe.ts';
import type { Dial } from './dial.ts';
import { isUnresolved } from './dial-config.ts';
import { WHY_RANKS, type Trouble, type WhyCode, type WhyDetail } from './dial-outcome.ts';
import type { Declined } from './handshaker.ts';
import type { Link } from './link.ts';
import { RefusalLog } from './refusal-log.ts';
import type { ToldRefusal } from './told-refusal.ts';
import { explain, type WhyText } from './why.ts';
import type { Directory } from './directory.ts';

/** A neighbour of the configuration, or a node that dialled us. */
export interface Neighbour {
  readonly link: Link | null;
  /** Null: it is not configured here. */
  readonly dial: Dial | null;
  /** Why there is no link by this dial; null where there is one, or nothing was dialled. */
  readonly trouble: Trouble | null;
}

export interface WatchSurroundings {
  readonly clock: Clock;
  readonly log: Log;
  readonly membership: Membership | null;
  readonly directory: Directory;
  /** Null: the system can't be asked. */
  readonly probe: AddressProbe | null;
  /** This node. */
  readonly self: NodeId;
  readonly name: string;
}

/** Without a link for so long, it is said. */
const WARN_AFTER: Micros = 5 * SECOND;
/** Another reason is said again after this long. */
const WARN_AGAIN: Micros = 60 * SECOND;
/** The key is asked for after so many unanswered calls, and then this often. */
const CALLS_BEFORE_KEY = 3;
const KEY_INTERVAL: Micros = 5 * SECOND;
/** The system is asked after this long, and then this often. */
const PROBE_AFTER: Micros = 1_500 * MILLISECOND;
const PROBE_INTERVAL: Micros = 15 * SECOND;
const PROBES_MAX = 8;
/** A peer that asks for the key at this attempt or later has not heard the answers. */
const ASKED_AGAIN = 4;
const REFUSAL_CODES: ReadonlyMap<number, WhyCode> = new Map([
  [REFUSAL_VERSION, 'wireVersion'],
  [REFUSAL_KEY, 'wrongKey'],
  [REFUSAL_TWIN, 'twin'],
  [REFUSAL_PRESHARED_KEY, 'presharedKey'],
]);
const PROBE_CODES: readonly Exclude<ProbeResult, 'nothing'>[] = [
  'portClosed',
  'unreachable',
  'forbidden',
  'noSocket',
];

const OF_PEER: Partial<Record<DropReason, WhyCode>> = {
  [DropReason.certificateWrongNetwork]: 'peerOtherNetwork',
  [DropReason.certificateUnknownAuthority]: 'peerUnknownAuthority',
  [DropReason.certificateForged]: 'peerForged',
  [DropReason.certificateMalformed]: 'peerForged',
  [DropReason.certificateOfAnother]: 'peerForged',
  [DropReason.certificateRole]: 'peerRole',
  [DropReason.handshakePresharedKey]: 'peerPresharedKey',
  [DropReason.certificateNotYetValid]: 'peerNotYetValid',
  [DropReason.certificateExpired]: 'peerExpired',
  [DropReason.certificateRevoked]: 'peerRevoked',
  [DropReason.certificateAuthorityNotValid]: 'peerAuthorityNotValid',
  [DropReason.linkTableFull]: 'tableFull',
};
const OF_OURS: Partial<Record<DropReason, WhyCode>> = {
  [DropReason.certificateNotYetValid]: 'ownNotYetValid',
  [DropReason.certificateExpired]: 'ownExpired',
  [DropReason.certificateRevoked]: 'ownRevoked',
  [DropReason.certificateAuthorityNotValid]: 'ownAuthorityNotValid',
};
/** What only somebody with a certificate of this network can bring about. */
const PROVEN: ReadonlySet<DropReason> = new Set([
  DropReason.certificateNotYetValid,
  DropReason.certificateExpired,
  DropReason.certificateRevoked,
  DropReason.certificateAuthorityNotValid,
  DropReason.certificateRole,
  DropReason.handshakeForAnother,
  DropReason.handshakeFromSelf,
  DropReason.handshakeRefused,
  DropReason.linkTableFull,
  DropReason.handshakePresharedKey,
]);

const OWN_VERDICTS: Partial<Record<CertificateVerdict, WhyCode>> = {
  'not-yet-valid': 'ownNotYetValid',
  expired: 'ownExpired',
  revoked: 'ownRevoked',
  'authority-not-valid': 'ownAuthorityNotValid',
};
/** Clocks that are right differ by less. */
const OTHER_CLOCK_S = 60;
const NOWHERE: Endpoint = makeEndpoint('0.0.0.0', 0);
/** Refused after the whole message was read and found true: it says who sent it. */
const READ: ReadonlySet<DropReason> = new Set([
  DropReason.handshakeForAnother,
  DropReason.handshakeFromSelf,
  DropReason.handshakeRefused,
  DropReason.linkTableFull,
  DropReason.handshakePresharedKey,
]);

export class NeighbourWatch {
  readonly #env: WatchSurroundings;
  readonly #dials: readonly Dial[];
  readonly #refusals: RefusalLog;
  #probes = 0;

  /** `dials`: those of the configuration, which come and go. */
  constructor(env: WatchSurroundings, dials: readonly Dial[]) {
    this.#env = env;
    this.#dials = dials;
    this.#refusals = new RefusalLog(env.clock, env.log);
  }

  /**
   * Every link of `links`, which are walked once, and every neighbour of the configuration that has
   * none of its own, once each.
   */
  *neighbours(links: Iterable<Link>): IterableIterator<Neighbour> {
    const first = new Map<Link, Dial>();
    for (const dial of this.#dials) {
      const { link } = dial;
      if (link !== null && (!first.has(link) || dial.endpoint.key === link.endpoint.key))
        first.set(link, dial);
    }
    for (const link of links) {
      const dial = first.get(link) ?? null;
      yield { link, dial, trouble: dial === null ? null : this.trouble(dial, dial) };
    }
    for (const dial of this.#dials) {
      if (dial.link !== null && first.get(dial.link) === dial) continue;
      yield {
        link: null,
        dial,
        trouble: this.trouble(dial, dial.link === null ? null : (first.get(dial.link) ?? null)),
      };
    }
  }

  /** What logs call a node: its name where there is one. */
  label(node: NodeId, certificate: Certificate | null = null): string {
    const name = certificate?.node === node ? certificate.name : this.#env.directory.nameOf(node);
    return name === null || name === '' ? formatNodeId(node) : name;
  }

  /* -------------------------------------------------------------- what was seen */

  /** The key that `dial`'s address shows. Anybody there may show any. */
  onKeyShown(dial: Dial, key: Uint8Array): void {
    const { membership } = this.#env;
    dial.outcome.asked = false;
    if (dial.rekeys || membership === null) return;
    const given = dial.config.key;
    const owner = this.#env.directory.ownerOf(key);
    if (equalBytes(key, membership.identity.exchange.publicKey)) this.note(dial, 'self');
    else if (given !== undefined && !equalBytes(key, given))
      this.note(dial, 'wrongKey', { key, node: owner });
    else if (given === undefined && dial.node !== null && owner !== null && owner !== dial.node)
      this.note(dial, 'otherNode', { node: owner });
    else {
      dial.outcome.clear('wrongKey');
      dial.outcome.clear('oneWay');
      this.note(dial, 'unheard');
    }
  }

  /** Whoever is at the dial's address said that; anybody may have. */
  onRefusal(dial: Dial, told: ToldRefusal): void {
    const said =
      told.reason === REFUSAL_VERSION
        ? `that it speaks ${versionsText(told.versions)}`
        : refusalText(told);
    this.note(dial, REFUSAL_CODES.get(told.reason) ?? 'refused', { said });
  }

  /**
   * The address asks for our key although it was answered before, and nothing came from it when we
   * called.
   */
  onKeyAsked(from: Endpoint, attempt: number): void {
    if (attempt < ASKED_AGAIN) return;
    for (const dial of this.#dials) {
      if (dial.endpoint.key !== from.key || dial.link?.up === true) continue;
      const { code } = dial.outcome.best(this.#env.clock.now());
      if (code === 'silent' || code === 'oneWay') this.note(dial, 'oneWay');
    }
  }

  /** The answer to `dial` was refused. */
  onAnswerRefused(dial: Dial, { reason, hello, certificate }: Declined): void {
    if (reason === DropReason.handshakeForAnother)
      this.note(dial, 'otherNode', { node: hello?.node ?? NO_NODE });
    else if (reason === DropReason.handshakeFromSelf) this.note(dial, 'self');
    else if (OF_PEER[reason] !== undefined) this.note(dial, OF_PEER[reason], { certificate });
  }

  /** An INIT was refused. `ownInstance`: of this run of the daemon. */
  onCallRefused(declined: Declined, from: Endpoint, ownInstance: number): void {
    const { reason, hello, stamp } = declined;
    const code = OF_PEER[reason];
    const certificate =
      declined.certificate ?? (READ.has(reason) ? (hello?.certificate ?? null) : null);
    if (reason === DropReason.handshakeFromSelf && hello?.instance === ownInstance) {
      const dial = this.#dials.find(({ index }) => index === hello.index);
      if (dial !== undefined) this.note(dial, 'self');
      return;
    }
    const { membership } = this.#env;
    const aheadUs =
      certificate === null || membership === null || stamp === 0
        ? null
        : stamp * 100 - membership.wallUs;
    const known = PROVEN.has(reason) ? certificate : null;
    const dial = this.#dials.find(
      (one) => one.endpoint.key === from.key || (known !== null && this.#means(one, known)),
    );
    const said =
      reason === DropReason.handshakePresharedKey && membership !== null
        ? presharedFault(membership.preshared, hello?.preshared ?? [])
        : null;
    const detail: WhyDetail = { certificate, aheadUs, said };
    if (dial !== undefined && code !== undefined) this.note(dial, code, detail);
    if (dial !== undefined && reason === DropReason.handshakeFromSelf) this.note(dial, 'clone');
    const node = hello?.node ?? NO_NODE;
    const who = certificate?.name ?? this.#nodeName(node, reason) ?? from.key;
    const text = this.#whyRefused(declined, code, from, who, detail);
    if (text === null) return;
    this.#refusals.tell(
      `${reason} ${known?.serial ?? from.address}`,
      PROVEN.has(reason),
      () => ({
        peer: who,
        ...(who === from.key ? {} : { from: from.key }),
        why: text.why,
        next: text.next,
      }),
      'call refused',
    );
  }

  /** Datagrams of the other kind of security came from there. */
  onOtherSecurity(from: Endpoint): void {
    const dial = this.#dials.find(({ endpoint }) => endpoint.key === from.key);
    if (dial === undefined) return;
    this.note(dial, 'otherSecurity');
    this.#refusals.tell(
      `other security ${from.key}`,
      false,
      () => {
        const text = this.#spoken(this.#text(dial, { code: 'otherSecurity', at: 0 }));
        return { peer: this.peerOf(dial), from: from.key, ...text };
      },
      'call refused',
    );
  }

  /** An answer to the peer's call was never used by it. */
  onUnconfirmed(link: Link): void {
    for (const dial of this.#dials) if (dial.link === link) this.note(dial, 'oneWay');
  }

  note(dial: Dial, code: WhyCode, detail: WhyDetail = {}): void {
    dial.outcome.note(code, this.#env.clock.now(), detail);
  }

  /* -------------------------------------------------------------- what it comes to */

  /**
   * Why there is no link; null when there is one. `other`: the dial that carries the node's link,
   * when it is not this one.
   */
  trouble(dial: Dial, other: Dial | null): Trouble | null {
    const now = this.#env.clock.now();
    if (dial.link?.up === true)
      return other === null || other === dial
        ? null
        : { code: 'sameNode', at: now, node: dial.link.node };
    const { membership } = this.#env;
    const own =
      membership === null ? DropReason.none : membership.recheck(membership.identity.certificate);
    const code = OF_OURS[own];
    return code === undefined
      ? dial.outcome.best(now)
      : { code, at: now, certificate: membership!.identity.certificate };
  }

  /** Cause and next step for people. */
  text(dial: Dial, trouble: Trouble): WhyText {
    return this.#text(dial, trouble);
  }

  /** What people call the neighbour of a dial. */
  peerOf(dial: Dial): string {
    const node = dial.node ?? dial.link?.node ?? null;
    const name = dial.config.name ?? (node === null ? null : this.#env.directory.nameOf(node));
    return name !== null && name !== '' ? name : node === null ? dial.at : formatNodeId(node);
  }

  /**
   * Every second: asks what can be asked, and says what should be said. `askKey` sends the question
   * for a key, where there is one.
   */
  tick(now: Micros, askKey: (dial: Dial) => void): void {
    for (const dial of this.#dials) {
      if (dial.link?.up === true) continue;
      const { outcome } = dial;
      if (
        dial.index >= 0 &&
        dial.attempts >= CALLS_BEFORE_KEY &&
        now - outcome.askedAt >= KEY_INTERVAL
      ) {
        outcome.askedAt = now;
        outcome.asked = true;
        askKey(dial);
      }
      this.#probe(dial, now);
      if (now - outcome.since >= WARN_AFTER) this.#warn(dial, now);
    }
  }

  #probe(dial: Dial, now: Micros): void {
    const { outcome, endpoint } = dial;
    const { probe } = this.#env;
    const idle =
      probe !== null &&
      this.#probes < PROBES_MAX &&
      now - outcome.since >= PROBE_AFTER &&
      now - outcome.probedAt >= PROBE_INTERVAL;
    if (
      !idle ||
      isUnresolved(dial.config) ||
      WHY_RANKS[outcome.best(now).code] > WHY_RANKS.portClosed
    )
      return;
    outcome.probedAt = now;
    this.#probes += 1;
    probe(endpoint, (result) => {
      this.#probes -= 1;
      for (const code of PROBE_CODES) if (code !== result) outcome.clear(code);
      if (result !== 'nothing' && dial.link?.up !== true) this.note(dial, result);
    });
  }

  #warn(dial: Dial, now: Micros): void {
    const { outcome } = dial;
    const trouble = this.trouble(dial, null);
    if (
      trouble === null ||
      trouble.code === outcome.told ||
      (outcome.told !== null && now - outcome.toldAt < WARN_AGAIN)
    )
      return;
    outcome.told = trouble.code;
    outcome.toldAt = now;
    this.#env.log.warn(
      {
        peer: this.peerOf(dial),
        address: dial.at,
        ...this.#spoken(this.#text(dial, trouble)),
      },
      'no link to a neighbour',
    );
  }

  #spoken({ why, next }: WhyText): { why: string; next: string } {
    return { why, next };
  }

  #text(dial: Dial, trouble: Trouble): WhyText {
    return this.#explain(
      trouble,
      this.peerOf(dial),
      dial.endpoint,
      dial.link?.endpoint.key ?? '',
      dial.outcome.ended,
    );
  }

  #explain(
    trouble: Trouble,
    peer: string,
    endpoint: Endpoint,
    linkAddress: string,
    ended: string,
  ): WhyText {
    const { membership, name, self } = this.#env;
    const node = trouble.node ?? null;
    return explain(trouble, {
      peer,
      endpoint,
      linkAddress,
      ended,
      self: name === '' ? formatNodeId(self) : name,
      other: node === null ? null : this.label(node),
      nowS: membership?.nowS ?? 0,
      trust: membership?.trust ?? null,
      sealed: membership !== null,
    });
  }

  #whyRefused(
    { reason, hello }: Declined,
    code: WhyCode | undefined,
    from: Endpoint,
    who: string,
    detail: WhyDetail,
  ): { why: string; next: string } | null {
    const here = this.#env.name === '' ? formatNodeId(this.#env.self) : this.#env.name;
    if (code !== undefined && reason !== DropReason.linkTableFull)
      return this.#explain({ ...detail, code, at: 0 }, who, from, '', '');
    switch (reason) {
      case DropReason.linkTableFull:
        return {
          why: '`limits.links` of this daemon is reached',
          next: 'raise it, or let fewer neighbours dial',
        };
      case DropReason.handshakeRefused:
        return {
          why: `\`accept: false\` here, and ${who} is none of \`links\``,
          next: `name ${who} in \`links\`, or set \`accept: true\``,
        };
      case DropReason.handshakeForAnother: {
        const wanted = this.label(hello?.peer ?? NO_NODE);
        return {
          why: `it wants ${wanted}, and this is ${here}`,
          next: `correct the address of ${wanted} in the \`links\` of ${who}`,
        };
      }
      case DropReason.handshakeFromSelf:
        return {
          why: `it has this daemon's own identity (${here})`,
          next: 'give each machine an identity of its own: `spines keys node NAME --id QUAD`',
        };
      case DropReason.handshakeMacWrong:
        return {
          why: `it calls with another key than that of ${here}`,
          next:
            `its \`links\` names an old key, or means another node: give it the certificate ` +
            `of ${here}`,
        };
      default:
        return null;
    }
  }

  /** Why a certificate in use counts no longer, and what to do. */
  certificateFault(
    reason: DropReason,
    certificate: Certificate,
    endpoint: Endpoint,
  ): { why: string; next: string } {
    return this.#spoken(
      this.#explain(
        { code: OF_PEER[reason] ?? 'peerForged', at: 0, certificate },
        certificate.name,
        endpoint,
        '',
        '',
      ),
    );
  }

  /** The same in a word. */
  shortFault(reason: DropReason): string {
    return reason === DropReason.certificateExpired
      ? 'expired'
      : reason === DropReason.certificateRevoked
        ? 'revoked'
        : 'not valid';
  }

  /**
   * What a peer, whose clock may be a little ahead, holds against our certificate; null: nothing
   * that we know of.
   */
  ownFault(): { why: string; next: string } | null {
    const { membership } = this.#env;
    if (membership === null) return null;
    const { certificate } = membership.identity;
    const verdict = [0, OTHER_CLOCK_S]
      .map((later) => membership.trust.judgeAgain(certificate, membership.nowS + later))
      .find((one) => one !== 'ok');
    const code = verdict === undefined ? undefined : OWN_VERDICTS[verdict];
    return code === undefined
      ? null
      : this.#spoken(this.#explain({ code, at: 0, certificate }, '', NOWHERE, '', ''));
  }

  #means(dial: Dial, { node, exchangeKey }: Certificate): boolean {
    return (
      dial.node === node ||
      (dial.config.key !== undefined && equalBytes(dial.config.key, exchangeKey))
    );
  }

  /** A message that named a node was read. */
  #nodeName(node: NodeId, reason: DropReason): string | null {
    return READ.has(reason) && node !== NO_NODE ? this.label(node) : null;
  }
}
