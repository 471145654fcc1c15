/**
 * What happens to what a daemon is known by, and to its log: its certificate, clocks of neighbours,
 * identities that run twice, lines that were lost.
 *
 * Looked at once a second. Bounded by links, and by the identities that run twice.
 */

import { SECOND, type Micros } from '../base/time.ts';
import { CLOCK_WRONG } from '../routing/clock-watch.ts';
import { DropReason, dropReasonName } from '../wire/drop.ts';
import type { NodeId } from '../base/ids.ts';
import type { CertificateEvent, LogFigures, TwinRow } from 'spines-client/protocol';
import { twinRows } from './links-report.ts';
import { nodeAt, type Look, type TellHappened } from './look.ts';
import { ms, type Operator } from './operation.ts';

/** Days before the end of a certificate; 0 is the end. */
const STEPS = [30, 7, 1, 0] as const;
const DAY_S = 86_400;

export class IdentityLook implements Look {
  readonly #operator: Operator;
  #serial = '';
  #crossed = 0;
  #refused: DropReason = DropReason.none;
  #wrong = new Set<NodeId>();
  #twins = new Map<string, TwinRow>();
  #lost = new Map<string, number>();

  constructor(operator: Operator) {
    this.#operator = operator;
    this.look(() => {});
  }

  look(tell: TellHappened): void {
    const now = this.#operator.env.clock.now();
    this.#lookCertificate(tell, now);
    this.#lookClocks(tell, now);
    this.#lookTwins(tell, now);
    this.#lookLogs(tell, now);
  }

  #lookCertificate(tell: TellHappened, now: Micros): void {
    const { membership } = this.#operator.env;
    if (membership === null) return;
    const {
      nowS,
      identity: { certificate },
    } = membership;
    const { serial } = certificate,
      leftS = certificate.notAfterS - nowS;
    const say = (what: CertificateEvent['what'], why: string | null): void =>
      tell({ kind: 'certificate', what, serial, leftS, why }, now);
    const crossed = STEPS.filter((days) => leftS <= days * DAY_S).length;
    const reason = membership.recheck(certificate);
    if (serial !== this.#serial) say('renewed', null);
    else if (crossed > this.#crossed) say(leftS <= 0 ? 'expired' : 'expiring', null);
    const refused = reason === DropReason.certificateExpired ? DropReason.none : reason;
    if (refused !== this.#refused && refused !== DropReason.none)
      say('refused', dropReasonName(refused));
    this.#serial = serial;
    this.#crossed = crossed;
    this.#refused = refused;
  }

  #lookClocks(tell: TellHappened, now: Micros): void {
    const { links, router } = this.#operator.node;
    const wrong = new Set<NodeId>();
    for (const link of links.all()) {
      const aheadUs = link.up ? (router.clocks?.aheadUs(link) ?? null) : null;
      if (aheadUs === null) continue;
      const was = this.#wrong.has(link.node);
      const is = Math.abs(aheadUs) >= (was ? CLOCK_WRONG / 2 : CLOCK_WRONG);
      if (is) wrong.add(link.node);
      if (is === was) continue;
      tell(
        {
          kind: 'clock',
          what: is ? 'differs' : 'agrees',
          ...nodeAt(this.#operator, link.node),
          aheadMs: ms(aheadUs),
        },
        now,
      );
    }
    this.#wrong = wrong;
  }

  #lookTwins(tell: TellHappened, now: Micros): void {
    const twins = new Map(
      twinRows(this.#operator).map((row) => [`${row.node} ${row.self} ${row.here ?? ''}`, row]),
    );
    for (const [key, twin] of twins)
      if (!this.#twins.has(key))
        tell({ kind: 'clone', what: 'found', twin }, now - (twin.sinceMs / 1_000) * SECOND);
    for (const [key, twin] of this.#twins)
      if (!twins.has(key)) tell({ kind: 'clone', what: 'over', twin }, now);
    this.#twins = twins;
  }

  #lookLogs(tell: TellHappened, now: Micros): void {
    const host = this.#operator.env.host?.();
    const logs = [host?.log, host?.audit?.log].filter((log): log is LogFigures => log != null);
    for (const { target, lost } of logs) {
      const more = lost - (this.#lost.get(target) ?? lost);
      if (more > 0) tell({ kind: 'log', target, lost: more }, now);
    }
    this.#lost = new Map(logs.map(({ target, lost }) => [target, lost]));
  }
}
