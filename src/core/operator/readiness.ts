/**
 * Whether a daemon is of use to the programs of its machine now, and why not.
 *
 * Reads only. For load balancers and service managers; `spines doctor` looks further.
 */

import { DropReason } from '../wire/drop.ts';
import type { Operator } from './operation.ts';
import { twinRows } from './links-report.ts';

/** Why a daemon is not ready: a word for programs, a sentence for people. */
export interface NotReady {
  readonly code: 'certificate' | 'draining' | 'identityTwice' | 'noLink';
  readonly text: string;
}

/** Everything that keeps it from carrying traffic; empty: it is ready. */
export function notReady(operator: Operator): NotReady[] {
  const { node, env } = operator;
  const reasons: NotReady[] = [];
  const { membership } = env;
  if (membership !== null) {
    const verdict = membership.recheck(membership.identity.certificate);
    if (verdict !== DropReason.none)
      reasons.push({ code: 'certificate', text: CERTIFICATE[verdict] ?? CERTIFICATE_ELSE });
  }
  if (twinRows(operator).some(({ self, here }) => self && here === 'refused'))
    reasons.push({
      code: 'identityTwice',
      text: 'another daemon runs with this identity and is the one that is kept',
    });
  if (node.transit.draining)
    reasons.push({ code: 'draining', text: 'it is drained: `spines drain --end` ends that' });
  // Only who has neighbours to dial misses them: the first daemon of a network has none.
  let dialled = 0,
    up = 0,
    why = '';
  for (const { link, dial, trouble } of node.links.neighbours()) {
    if (link?.up === true) up += 1;
    if (dial === null) continue;
    dialled += 1;
    if (why === '' && trouble !== null) why = node.links.watch.text(dial, trouble).short;
  }
  if (dialled > 0 && up === 0)
    reasons.push({
      code: 'noLink',
      text:
        `none of the ${dialled} neighbours of the configuration has a link` +
        (why === '' ? '' : ` (the first: ${why})`),
    });
  return reasons;
}

const CERTIFICATE: Partial<Record<DropReason, string>> = {
  [DropReason.certificateExpired]: "this node's certificate has expired",
  [DropReason.certificateNotYetValid]: "this node's certificate is not valid yet",
  [DropReason.certificateRevoked]: "this node's certificate was revoked",
  [DropReason.certificateAuthorityNotValid]: 'the authority of its certificate is not valid now',
};
const CERTIFICATE_ELSE = "this node's certificate is not one that it would take of others";
