/**
 * `spines demo`: five real daemons on this machine with two flows between them, in the browser: a
 * link of the path is cut and healed, then a router on the path turns adversarial and is convicted.
 *
 * Owns the story and what is said of it: how long no message of a flow arrived while its way
 * changed, and how long it took until the adversary's link was known. Daemons are
 * replay/replay-fleet.ts's, the page is the dashboard's. Goes on until a signal comes, or, with
 * --once, ends after one round. Invariant: no process and no file is left over.
 */

import type { Command } from 'commander';
import type { SpinesClient } from 'spines-client';
import type { OperationAnswer } from 'spines-client/protocol';

import { DashboardPages } from '../../host/web/dashboard-pages.ts';
import { LiveOverlay } from '../../host/web/live-overlay.ts';
import { parseTopology } from '../../lab/topology/topology-parse.ts';
import { ask } from '../client.ts';
import { ClientSource } from '../dashboard/client-overlay-source.ts';
import { openDashboard } from '../dashboard/dashboard.ts';
import { BUSY_MS, Fleet } from '../replay/replay-fleet.ts';
import { EXIT_NO, Failure } from '../terminal/failure.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { print } from '../terminal/output.ts';
import { integerArg, portArg } from '../terminal/values.ts';
import { DemoFlow } from './demo-flow.ts';

/** Two ways of two hops and one of three from rome to oslo. The event is never played. */
const TOPOLOGY = `name: demo
duration: 1s
nodes: [rome, paris, berlin, prague, oslo]
links:
  - { between: [rome, paris], latency: 8ms }
  - { between: [paris, oslo], latency: 9ms }
  - { between: [rome, berlin], latency: 10ms }
  - { between: [berlin, oslo], latency: 11ms }
  - { between: [rome, prague], latency: 12ms }
  - { between: [prague, berlin], latency: 6ms }
  - { between: [prague, oslo], latency: 14ms }
events:
  - { at: 1s, misbehave: prague, what: drop-data }
`;
const ROME = 0,
  OSLO = 4;
/** Between two acts, so that they can be watched; a tenth of it with --once. */
const PAUSE_MS = 8_000;
const POLL_MS = 50;

interface DemoFlags {
  port?: number;
  once?: boolean;
  pause?: number;
}

export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('show five daemons in the browser, a cut link and an adversary')
    .option('--port <n>', 'TCP port of the page on this machine (default: any)', portArg)
    .option('--once', 'end after one round, and fail where it did not go as told')
    .option('--pause <s>', 'between two acts (default: 8, with --once 1)', integerArg(0, 3_600))
    .addHelpText(
      'after',
      helpBelow('Needs neither root nor a network of yours. Ends by ^C, and leaves nothing.'),
    )
    .action(demo);
}

async function demo(flags: DemoFlags): Promise<void> {
  const ending = new Ending();
  print('starting five daemons on this machine ...\n');
  const fleet = await Fleet.start(parseTopology(TOPOLOGY, 'demo', []));
  try {
    await Promise.race([new Demo(fleet, flags, ending).run(), fleet.failed]);
  } finally {
    ending.end();
    await fleet.close();
  }
  if (ending.called) print('\nended; nothing is left over\n');
}

/** A signal, which ends the demo in order. */
class Ending {
  called = false;
  readonly promise: Promise<void>;
  #call: () => void = () => {};

  constructor() {
    this.promise = new Promise((resolve) => {
      this.#call = () => {
        this.called = true;
        resolve();
      };
    });
    process.on('SIGINT', this.#call);
    process.on('SIGTERM', this.#call);
  }

  end(): void {
    process.off('SIGINT', this.#call);
    process.off('SIGTERM', this.#call);
  }
}

class Demo {
  readonly #fleet: Fleet;
  readonly #flags: DemoFlags;
  readonly #ending: Ending;
  readonly #began = performance.now();

  constructor(fleet: Fleet, flags: DemoFlags, ending: Ending) {
    this.#fleet = fleet;
    this.#flags = flags;
    this.#ending = ending;
  }

  async run(): Promise<void> {
    await this.#until(async () => {
      const { routes } = await ask(this.#rome, 'routes', {}, BUSY_MS);
      return routes.filter(({ reachable }) => reachable).length === 4;
    }, 'all nodes reach each other');
    const page = await openDashboard(
      new DashboardPages(new LiveOverlay(new ClientSource(this.#rome))),
      this.#flags.port ?? 0,
    );
    const quad = this.#fleet.quad(OSLO);
    const flows = [
      await DemoFlow.open(this.#rome, this.#client(OSLO), quad, 7_000, 'link-state'),
      await DemoFlow.open(this.#rome, this.#client(OSLO), quad, 7_001, 'byzantine'),
    ] as const;
    try {
      print(`\n  ${page.url}\n\n`);
      this.#say('open it in a browser; two flows of 100 messages a second go from rome to oslo');
      do {
        await this.#cutAndHeal(flows[0]);
        await this.#adversary(flows[1]);
      } while (this.#flags.once !== true && !this.#ending.called);
    } finally {
      for (const flow of flows) flow.close();
      await page.close();
    }
  }

  get #rome(): SpinesClient {
    return this.#client(ROME);
  }

  #client(node: number): SpinesClient {
    const client = this.#fleet.client(node);
    if (client === null) throw new Failure(EXIT_NO, 'EDAEMON', 'a daemon of the demo went away');
    return client;
  }

  #nameOf(quad: string): string {
    const { nodes } = this.#fleet.topology;
    return nodes[nodes.findIndex((_, i) => this.#fleet.quad(i) === quad)]?.name ?? quad;
  }

  async #cutAndHeal(flow: DemoFlow): Promise<void> {
    await this.#until(async () => flow.lively, 'messages arrive by link state');
    await this.#pause();
    const hop = await this.#nextHop();
    const { nodes, links } = this.#fleet.topology;
    const through = nodes.findIndex((_, i) => this.#fleet.quad(i) === hop);
    const link = links.findIndex(({ a, b }) => a === ROME && b === through);
    flow.watchGap();
    await this.#setLink(link, false);
    this.#say(`cut the link rome-${nodes[through]!.name}, which the first flow uses`);
    await this.#until(async () => {
      const now = await this.#nextHop();
      return now !== null && now !== hop;
    }, 'the routes change');
    await this.#until(async () => flow.lively, 'messages arrive again');
    const to = this.#nameOf((await this.#nextHop()) ?? '');
    this.#say(`rerouted by ${to}: for ${flow.gapMs} ms no message arrived`);
    await this.#pause();
    await this.#setLink(link, true);
    await this.#until(async () => {
      const { links } = await ask(this.#rome, 'links', {}, BUSY_MS);
      return links.some(({ node, state }) => node === hop && state === 'up');
    }, 'the link is back');
    this.#say(`healed: rome-${nodes[through]!.name} is up again`);
    await this.#pause();
  }

  /** Whoever is in the middle of the second flow's path; another one, if the path is another. */
  async #adversary(flow: DemoFlow): Promise<void> {
    await this.#until(async () => flow.lively, 'messages arrive by byzantine routing');
    const at = performance.now();
    let culprit = -1,
      blamed = '';
    await this.#until(async () => {
      const { flows, convictions } = await this.#byzantine();
      // The flow may have blamed the link that was cut, too: that is not what this is about.
      const guilty = culprit < 0 ? '' : this.#fleet.quad(culprit);
      const last = convictions.find(
        ({ u, v, agoMs }) =>
          agoMs < performance.now() - at && (u.node === guilty || v.node === guilty),
      );
      if (last !== undefined) {
        blamed = `${this.#nameOf(last.u.node)}-${this.#nameOf(last.v.node)}`;
        return true;
      }
      const route = flows.find(({ node }) => node === this.#fleet.quad(OSLO));
      const middle = route?.main?.nodes[1]?.node;
      if (route?.main == null || route.main.nodes.length < 3 || route.second !== null) return false;
      const now = this.#fleet.topology.nodes.findIndex((_, i) => this.#fleet.quad(i) === middle);
      if (now <= ROME || now === culprit) return false;
      if (culprit >= 0) await this.#misbehave(culprit, 'none');
      culprit = now;
      await this.#misbehave(culprit, 'drop-data');
      this.#say(
        `turned ${this.#nameOf(middle!)} adversarial: it takes part in everything, and drops all ` +
          'data',
      );
      return false;
    }, 'the adversary is convicted');
    if (culprit < 0) return;
    const took = Math.round(performance.now() - at);
    await this.#until(async () => flow.lively, 'messages arrive again');
    this.#say(`convicted the link ${blamed} after ${took} ms; messages go round it`);
    await this.#pause();
    await this.#misbehave(culprit, 'none');
    const { name } = this.#fleet.topology.nodes[culprit]!;
    this.#say(`${name} is honest again; what is blamed is forgiven as deliveries go well`);
    await this.#pause();
  }

  async #byzantine(): Promise<OperationAnswer<'byzantineRoutes'>> {
    return await ask(this.#rome, 'byzantineRoutes', {}, BUSY_MS);
  }

  async #misbehave(node: number, what: string): Promise<void> {
    await this.#client(node).request('misbehave', { what }, { timeoutMs: BUSY_MS });
  }

  async #setLink(link: number, up: boolean): Promise<void> {
    await Promise.all([
      this.#fleet.change(link, 'forward', { up }),
      this.#fleet.change(link, 'backward', { up }),
    ]);
  }

  async #nextHop(): Promise<string | null> {
    const { routes } = await ask(this.#rome, 'routes', {}, BUSY_MS);
    return routes.find(({ node }) => node === this.#fleet.quad(OSLO))?.nextHop ?? null;
  }

  /** Throws Failure where it does not come to be within a busy machine's patience. */
  async #until(come: () => Promise<boolean>, what: string): Promise<void> {
    const end = performance.now() + BUSY_MS;
    while (!this.#ending.called && !(await come())) {
      if (performance.now() > end)
        throw new Failure(EXIT_NO, 'ETIMEDOUT', `the demo waited in vain until ${what}`);
      await sleep(POLL_MS);
    }
  }

  async #pause(): Promise<void> {
    const standard = this.#flags.once === true ? PAUSE_MS / 10 : PAUSE_MS;
    const ms = this.#flags.pause === undefined ? standard : this.#flags.pause * 1_000;
    await Promise.race([sleep(ms), this.#ending.promise]);
  }

  #say(text: string): void {
    if (this.#ending.called) return;
    const at = (performance.now() - this.#began) / 1_000;
    print(`${at.toFixed(1).padStart(7)} s  ${text}\n`);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
