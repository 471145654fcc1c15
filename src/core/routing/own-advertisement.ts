/**
 * What this node advertises of its links, under which number, and when: at once for a link that
 * came or went, with hysteresis for latency and loss, rarely otherwise.
 *
 * Owns our sequence numbers, which go beyond those of an earlier run when one is heard of. What
 * others advertise is link-state-router.ts's.
 */

import type { NodeId } from '../base/ids.ts';
import { MILLISECOND, SECOND, Timer, type Micros } from '../base/time.ts';
import {
  LATENCY_UNIT_US,
  LINKS_PER_NODE_MAX,
  makeAdvertisement,
  SEQUENCE_MAX,
  type AdvertisedLink,
  type Advertisement,
} from '../wire/link-state.ts';
import { IDENTITY_TWICE, NO_TRANSIT, type NodeFacts } from '../wire/node-facts.ts';
import type { CloneWatch } from './clone-watch.ts';
import type { LinkStateDatabase, LinkStateRecord } from './link-state-database.ts';
import { changed, materially, measured } from './measured-links.ts';
import type {
  LinkStateRouterConfig,
  LinkStateRouterEnvironment,
  RoutingCounters,
} from './router-environment.ts';
import { signAdvertisement } from './signed-advertisement.ts';
import type { RoutedLink, RoutedLinks } from './routed-link.ts';

/** First advertisement after a quiet time waits this long, so that a burst of changes is one. */
const SETTLE: Micros = 1 * MILLISECOND;
/** At most one advertisement of ours in this time. */
export const ADVERTISE_INTERVAL: Micros = 50 * MILLISECOND;
/** Changes of latency and loss alone are advertised at most this often. */
const ESTIMATE_INTERVAL: Micros = 2 * SECOND;
/**
 * But so much more loss, in units of what is advertised, at once: a link that breaks is no matter
 * of estimates.
 */
const SUDDEN_LOSS = 0.05 * 65_535;
/**
 * How far beyond the numbers of an earlier run ours may go on: two runs then hardly ever share one.
 */
export const OVERTAKE_MAX = 0x100_0000;
/**
 * For nodes that know nothing of NO_TRANSIT the links of one that says it are so much longer, in
 * units of what is advertised (6 s): they go round it, where they can (RFC 6987 has the same).
 */
const DEAR = 60_000;
/** A wall clock that is found this far off when our advertisement was issued has been set. */
const CLOCK_STEP: Micros = 5 * SECOND;

export interface OwnSurroundings {
  readonly config: LinkStateRouterConfig;
  readonly env: LinkStateRouterEnvironment;
  readonly links: RoutedLinks;
  readonly database: LinkStateDatabase;
  readonly clones: CloneWatch;
  readonly counters: RoutingCounters;
  /** Somebody is here who reads only what has the certificate in it. */
  olderNodes(): boolean;
  /** Somebody is here who goes by nothing but latency and loss. */
  transitUnknown(): boolean;
  /** A newer one of ours is in the database. */
  onInstalled(): void;
  /** It was said again though nothing of our links had changed. */
  onRenewed(): void;
}

export class OwnAdvertisement {
  readonly #of: OwnSurroundings;
  readonly #advertiseTimer = new Timer(() => this.advertise(this.#renew));
  readonly #refreshTimer = new Timer(() => this.advertise(true));
  #sequence: number;
  /** The next advertisement goes out even if its content is the same. */
  #renew = false;
  /** When the advertise timer is due, while it is armed. */
  #advertiseAt: Micros = 0;
  #advertisedAt: Micros = -SECOND;
  #stopped = false;
  #transit = true;
  /** Our links are said to be longer than they are. */
  #dear = false;

  /** `first`: the number before our first. */
  constructor(first: number, of: OwnSurroundings) {
    this.#sequence = first;
    this.#of = of;
  }

  /** Number of our newest advertisement; of the one before the first, while there is none. */
  get sequence(): number {
    return this.#sequence;
  }

  get #self(): NodeId {
    return this.#of.config.id;
  }

  get #held(): LinkStateRecord | undefined {
    return this.#of.database.get(this.#self);
  }

  /** A link's latency or loss is another. */
  onEstimate(link: RoutedLink): void {
    const advertised = this.#held?.advertisement.links.find((entry) => entry.node === link.node);
    if (advertised === undefined) {
      this.schedule(ADVERTISE_INTERVAL);
      return;
    }
    const now = this.#said(link);
    if (materially(advertised, now, this.#of.config.metric))
      this.schedule(
        now.loss > advertised.loss + SUDDEN_LOSS ? ADVERTISE_INTERVAL : ESTIMATE_INTERVAL,
      );
  }

  /** Whether this node carries packets of others; what is another now is said at once. */
  set transit(carried: boolean) {
    if (carried === this.#transit) return;
    this.#transit = carried;
    this.#dear = this.#wantsDear();
    this.again();
  }

  /** Who is here has changed. */
  onNodes(): void {
    if (this.#dear === this.#wantsDear()) return;
    this.#dear = !this.#dear;
    this.again();
  }

  #wantsDear(): boolean {
    return !this.#transit && this.#of.transitUnknown();
  }

  #said(link: RoutedLink): AdvertisedLink {
    const said = measured(link);
    const extra =
      (this.#dear ? DEAR : 0) + Math.round((this.#of.env.extraUs?.(link) ?? 0) / LATENCY_UNIT_US);
    return extra === 0 ? said : { ...said, latency: Math.min(0xffff, said.latency + extra) };
  }

  /** Advertises soon, at least `interval` after the last time. */
  schedule(interval: Micros): void {
    if (this.#stopped) return;
    const { clock, timers } = this.#of.env;
    const at = Math.max(clock.now() + SETTLE, this.#advertisedAt + interval);
    if (this.#advertiseTimer.armed && at >= this.#advertiseAt) return;
    this.#advertiseAt = at;
    timers.arm(this.#advertiseTimer, at);
  }

  /** Advertises soon, though nothing of our links has changed. */
  again(interval = ADVERTISE_INTERVAL): void {
    this.#renew = true;
    this.schedule(interval);
  }

  /** An earlier run of ours used `sequence`: goes on from there, up to `span` further. */
  overtake(sequence: number, span: number, interval = ADVERTISE_INTERVAL): void {
    if (this.#stopped || sequence >= SEQUENCE_MAX - 2 * OVERTAKE_MAX) return;
    const { rng, log } = this.#of.env;
    // Not the very next number: the earlier run may have used that one too, and others hold it.
    this.#sequence = sequence + rng.below(span);
    log.debug({ sequence }, 'own advertisement of an earlier run overtaken');
    this.again(interval);
  }

  /** An elder daemon with our identity said `sequence`, which stands. */
  adopt(sequence: number): void {
    this.#sequence = sequence;
  }

  /** What an elder daemon said last, under the next number: a question whether it is there. */
  ask(links: readonly AdvertisedLink[], facts: NodeFacts): Advertisement {
    this.#sequence += 1;
    return this.#sign(false, links, facts);
  }

  /** Advertises our links; without `renew` only if something material changed. */
  advertise(renew: boolean): void {
    const { clones, config, env } = this.#of;
    if (this.#stopped || clones.yields) return;
    const links: AdvertisedLink[] = [];
    for (const link of this.#of.links.all()) {
      if (link.up && link.liveness.rtt.samples > 0 && links.length < LINKS_PER_NODE_MAX)
        links.push(this.#said(link));
    }
    links.sort((a, b) => a.node - b.node);
    const held = this.#held?.advertisement;
    if (!renew && held !== undefined && !changed(held.links, links, config.metric)) return;
    this.#renew = false;
    this.#install(this.#next(false, links));
    if (renew) this.#of.onRenewed();
    const spread = env.rng.below(Math.max(1, Math.floor(config.advertisementRefreshUs / 8)));
    env.log.debug({ links: links.length, sequence: this.#sequence, renew }, 'advertised');
    env.timers.arm(this.#refreshTimer, env.clock.now() + config.advertisementRefreshUs - spread);
  }

  /** Says good-bye. */
  leave(): void {
    this.#install(this.#next(true, []));
  }

  stop(): void {
    this.#stopped = true;
    const { timers } = this.#of.env;
    timers.cancel(this.#advertiseTimer);
    timers.cancel(this.#refreshTimer);
  }

  /**
   * Advertises again when others would not believe for long what we said last: another certificate,
   * or a clock that was set.
   */
  renew(): void {
    const { clones, config, env } = this.#of;
    const { membership } = env;
    const own = this.#held;
    const proof = own?.advertisement.proof;
    if (
      membership === null ||
      clones.yields ||
      own === undefined ||
      proof === undefined ||
      proof === null
    )
      return;
    const age = membership.wallUs - proof.issuedS * SECOND;
    const timely = age > -CLOCK_STEP && age < config.advertisementRefreshUs + CLOCK_STEP;
    if (timely && own.certificate === membership.identity.certificate) return;
    this.again();
  }

  /** Our advertisement under the next number. */
  #next(leaving: boolean, links: readonly AdvertisedLink[]): Advertisement {
    this.#sequence += 1;
    const { facts } = this.#of.env;
    const marks =
      (this.#of.clones.clone() === null ? 0 : IDENTITY_TWICE) | (this.#transit ? 0 : NO_TRANSIT);
    return this.#sign(leaving, links, {
      ...facts,
      capabilities: (facts.capabilities | marks) >>> 0,
    });
  }

  #sign(leaving: boolean, links: readonly AdvertisedLink[], facts: NodeFacts): Advertisement {
    const { membership } = this.#of.env;
    if (membership !== null)
      return signAdvertisement(
        membership,
        this.#sequence,
        leaving,
        links,
        facts,
        this.#of.olderNodes(),
      );
    return makeAdvertisement(
      this.#self,
      this.#sequence,
      leaving,
      this.#of.config.name,
      links,
      facts,
    );
  }

  #install(advertisement: Advertisement): void {
    const { env, config, database, counters } = this.#of;
    const now = env.clock.now();
    this.#advertisedAt = now;
    counters.advertised += 1;
    database.install(
      advertisement,
      now,
      now + config.advertisementLifetimeUs,
      env.membership?.identity.certificate ?? null,
    );
    this.#of.onInstalled();
  }
}
