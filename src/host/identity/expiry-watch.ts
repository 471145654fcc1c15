/**
 * Warns in the log before the daemon's certificate, or the authority that signed it, ends.
 *
 * Owns when a warning is due: at the start and once as each of 30, 7 and 1 days before the end is
 * crossed; an error when it is over. Called by the daemon at start, after a reload, every hour, and
 * at the end itself.
 */

import { equalBytes } from '../../core/base/bytes.ts';
import type { Log } from '../../core/base/log.ts';
import { authorityIdOf } from '../../core/crypto/certificates.ts';
import type { Membership } from '../../core/crypto/membership.ts';
import { formatTime } from '../../core/base/calendar.ts';

const DAY_S = 86_400;
/** Days before the end; 0 is the end. */
const STEPS = [30, 7, 1, 0] as const;
const CHECK_MS = 3_600_000;

export class ExpiryWatch {
  readonly #membership: Membership;
  readonly #log: Log;
  /** What was said last, by certificate and authority: the steps crossed then. */
  #said = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;

  constructor(membership: Membership, log: Log) {
    this.#membership = membership;
    this.#log = log;
  }

  start(): void {
    this.check();
    this.#arm();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** The next look: every hour, and when the certificate ends. */
  #arm(): void {
    const leftMs =
      (this.#membership.identity.certificate.notAfterS - this.#membership.nowS) * 1_000;
    this.#timer = setTimeout(
      () => {
        this.check();
        this.#arm();
      },
      leftMs <= 0 ? CHECK_MS : Math.min(CHECK_MS, leftMs),
    ).unref();
  }

  /** Says what is due now. What is no longer in use is forgotten. */
  check(): void {
    const {
      identity: { certificate },
      trust,
      nowS,
    } = this.#membership;
    const said = new Map<string, number>();
    const look = (what: string, key: string, notAfterS: number, remedy: string): void => {
      const leftS = notAfterS - nowS;
      const crossed = STEPS.filter((days) => leftS <= days * DAY_S).length;
      said.set(key, crossed);
      if (crossed <= (this.#said.get(key) ?? 0)) return;
      const fields = { what, validUntil: formatTime(notAfterS), remedy };
      if (leftS <= 0) this.#log.error(fields, 'expired: others refuse this daemon');
      else this.#log.warn({ ...fields, daysLeft: Math.floor(leftS / DAY_S) }, 'expires soon');
    };
    look(
      `certificate ${certificate.name}`,
      certificate.serial,
      certificate.notAfterS,
      'sign its request again with `spines keys sign`, put the new certificate in its place, and ' +
        '`spines reload`',
    );
    const authority = trust.authorities.find(({ signingKey }) =>
      equalBytes(authorityIdOf(signingKey), certificate.authority),
    );
    if (authority !== undefined) {
      look(
        `authority ${authority.name}`,
        `${authority.name}/${authority.notAfterS}`,
        authority.notAfterS,
        'make another with `spines keys init --network`, let all nodes trust both, and sign anew',
      );
    }
    this.#said = said;
  }
}
