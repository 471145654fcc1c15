/**
 * What happens to links: they come up and end, lose more or less, are nearer or farther, are
 * damped, take smaller datagrams, and have another reason not to be up.
 *
 * Owns what is a change of a link that stays up: its loss enters another class, its least round
 * trip of late doubled or halved. Bounded by the neighbours that there are.
 */

import { formatNodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, type Micros } from '../base/time.ts';
import type { Dial } from '../link/dial.ts';
import type { Trouble } from '../link/dial-outcome.ts';
import type { Link } from '../link/link.ts';
import type { Neighbour } from '../link/neighbour-watch.ts';
import { DATAGRAM_BYTES_MAX } from '../wire/sizes.ts';
import type { LinkEvent } from 'spines-client/protocol';
import { whyRow } from './links-report.ts';
import type { Look, TellHappened } from './look.ts';
import { ms, percent, type Operator } from './operation.ts';

/** Loss from which streams and routes suffer, and from which what waits goes another way. */
const LOSS_CLASSES = [0.02, 0.15] as const;
/** A class is left where loss is below this much of its beginning. */
const LEAVES = 0.25;
const RTT_FACTOR = 2;
const RTT_LEAST: Micros = 5 * MILLISECOND;
/** Before it, a round trip is that of a handshake. */
const RTT_SAMPLES = 8;
/** So long without a link, and its reason is worth a word. */
const REASON_AFTER: Micros = 2 * SECOND;

interface Was {
  up: boolean;
  since: Micros;
  flaps: number;
  lossClass: number;
  /** Least round trip that was told; 0: none yet. */
  rttUs: Micros;
  damped: boolean;
  /** Told of it: the reason why there is no link, null none. */
  reason: string | null;
  /** IP packet of the longest datagram that passes; 0: full ones do. */
  narrow: number;
}

/** `links.neighbours` of now, compared with those before. */
export class LinkLook implements Look {
  readonly #operator: Operator;
  #was = new Map<string, Was>();

  constructor(operator: Operator) {
    this.#operator = operator;
    this.look(() => {});
  }

  look(tell: TellHappened): void {
    const next = new Map<string, Was>();
    for (const neighbour of this.#operator.node.links.neighbours()) {
      const { link, dial } = neighbour;
      const key = link === null ? dial!.endpoint.key : formatNodeId(link.node);
      const was = this.#was.get(key) ?? newcomer();
      next.set(key, was);
      if (link !== null) this.#lookAt(link, was, tell);
      if (link?.up === true) was.reason = null;
      else if (dial !== null) this.#lookWhy(neighbour, dial, was, tell);
    }
    this.#was = next;
  }

  #lookAt(link: Link, was: Was, tell: TellHappened): void {
    const now = this.#operator.env.clock.now();
    const { up, stateSince: since } = link;
    const flaps = link.flaps.within(now);
    const anew = up && was.up && since !== was.since;
    if (was.up && (!up || anew)) {
      const ended = flaps > was.flaps || !up ? link.ended : 'its peer began anew';
      tell(this.#event(link, 'down', ended), since);
    }
    if (up && (!was.up || anew)) {
      tell(this.#event(link, 'up', null), since);
      Object.assign(was, newcomer(), { up, since });
    }
    Object.assign(was, { up, since, flaps });
    if (!up) return;
    this.#lookQuality(link, was, now, tell);
    this.#lookSize(link, was, now, tell);
  }

  #lookQuality(link: Link, was: Was, now: Micros, tell: TellHappened): void {
    const { lossOut, lossIn, rtt } = link.liveness;
    const lossClass = classOf(Math.max(lossOut, lossIn.rate), was.lossClass);
    if (lossClass !== was.lossClass) {
      const worse = lossClass > was.lossClass;
      was.lossClass = lossClass;
      const way = lossOut >= lossIn.rate ? 'to it' : 'from it';
      const much = percent(Math.max(lossOut, lossIn.rate));
      const why = lossClass === 0 ? 'hardly loses any more' : `loses ${much} % on the way ${way}`;
      tell(this.#event(link, 'changed', worse || lossClass === 0 ? why : `${why} still`), now);
    }
    if (link.damped !== was.damped) {
      was.damped = link.damped;
      const why = was.damped
        ? 'died again and again: routes use it only where there is nothing else'
        : 'has stayed: routes trust it again';
      tell(this.#event(link, 'changed', why), now);
    }
    if (rtt.samples < RTT_SAMPLES) return;
    const rttUs = rtt.recentUs,
      before = was.rttUs;
    const other = rttUs >= RTT_FACTOR * before || rttUs * RTT_FACTOR <= before;
    if (before !== 0 && (!other || Math.abs(rttUs - before) < RTT_LEAST)) return;
    was.rttUs = rttUs;
    if (before === 0) return;
    const why = `round trip ${ms(rttUs).toFixed(1)} ms, was ${ms(before).toFixed(1)} ms`;
    tell(this.#event(link, 'changed', why), now);
  }

  #lookSize(link: Link, was: Was, now: Micros, tell: TellHappened): void {
    const { channel } = link;
    if (channel === null || link.size.state === 'searching') return;
    const headers = link.endpoint.address.includes(':') ? 48 : 28;
    const narrow = channel.size < DATAGRAM_BYTES_MAX ? channel.size + headers : 0;
    if (narrow === was.narrow) return;
    was.narrow = narrow;
    tell(
      {
        kind: 'size',
        what: narrow === 0 ? 'full' : 'narrow',
        node: formatNodeId(link.node),
        name: this.#operator.node.router.nameOf(link.node) ?? link.name,
        packetBytes: channel.size + headers,
      },
      now,
    );
  }

  /** Why a neighbour of the configuration is still without a link, or again for another reason. */
  #lookWhy({ link, trouble }: Neighbour, dial: Dial, was: Was, tell: TellHappened): void {
    const now = this.#operator.env.clock.now();
    if (trouble === null || trouble.code === 'sameNode' || trouble.code === was.reason) return;
    if (now - dial.outcome.since < REASON_AFTER) return;
    was.reason = trouble.code;
    tell(this.#whyEvent(link, dial, trouble), now);
  }

  #whyEvent(link: Link | null, dial: Dial, trouble: Trouble): LinkEvent {
    const { router } = this.#operator.node;
    const { short, next } = whyRow(this.#operator, dial, trouble);
    const node = link?.node ?? dial.node;
    return {
      kind: 'link',
      what: 'changed',
      node: node === null ? null : formatNodeId(node),
      name: dial.config.name ?? (node === null ? null : router.nameOf(node)),
      address: dial.at,
      why: short,
      next,
      rttMs: null,
      lossOutPct: null,
      lossInPct: null,
    };
  }

  #event(link: Link, what: LinkEvent['what'], why: string | null): LinkEvent {
    const { rtt, lossIn, lossOut } = link.liveness;
    const { router } = this.#operator.node;
    const measured = link.up && what === 'changed';
    return {
      kind: 'link',
      what,
      node: formatNodeId(link.node),
      name: router.nameOf(link.node) ?? link.name,
      address: link.endpoint.key,
      why,
      next: null,
      rttMs: measured && rtt.samples > 0 ? ms(rtt.smoothedUs) : null,
      lossOutPct: measured ? percent(lossOut) : null,
      lossInPct: measured ? percent(lossIn.rate) : null,
    };
  }
}

function newcomer(): Was {
  return {
    up: false,
    since: 0,
    flaps: 0,
    lossClass: 0,
    rttUs: 0,
    damped: false,
    reason: null,
    narrow: 0,
  };
}

/** 0: none to speak of; a class is entered at its beginning, and left well below. */
function classOf(loss: number, before: number): number {
  let found = 0;
  LOSS_CLASSES.forEach((from, i) => {
    if (loss >= (i < before ? LEAVES * from : from)) found = i + 1;
  });
  return found;
}
