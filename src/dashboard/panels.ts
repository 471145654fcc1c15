/**
 * What stands beside the map: the path between two nodes, and what is selected, with its charts.
 */

import { by, make } from './dom.ts';
import { agoText, bytesText, countText, msText, percentText, rateText } from './format.ts';
import { linkWords, type Highlight, type Target } from './map-draw.ts';
import type { ModelLink, OverlayModel } from './model.ts';
import { Charts, type ChartPlan, type Histories } from './series.ts';
import { sessionKey } from './tables.ts';

export type Picked = Target | { readonly kind: 'session'; readonly key: string };

const OWN_PLANS: readonly ChartPlan[] = [
  {
    title: 'Rate',
    lines: [
      { name: 'sent', column: 0 },
      { name: 'received', column: 1 },
    ],
    text: rateText,
  },
  { title: 'Round trip', lines: [{ name: 'round trip', column: 2 }], text: msText },
  {
    title: 'Lost',
    lines: [
      { name: 'there', column: 3 },
      { name: 'back', column: 4 },
    ],
    text: percentText,
  },
];
const FAR_PLANS: readonly ChartPlan[] = [
  {
    title: 'Latency',
    lines: [
      { name: 'there', column: 0 },
      { name: 'back', column: 1 },
    ],
    text: msText,
  },
  {
    title: 'Lost',
    lines: [
      { name: 'there', column: 2 },
      { name: 'back', column: 3 },
    ],
    text: percentText,
  },
];
const perSecond = (value: number | null | undefined): string =>
  value == null ? '–' : `${countText(value)}/s`;
const STREAM_PLANS: readonly ChartPlan[] = [
  {
    title: 'Rate',
    lines: [
      { name: 'sent', column: 0 },
      { name: 'received', column: 1 },
    ],
    text: rateText,
  },
  { title: 'Round trip', lines: [{ name: 'round trip', column: 2 }], text: msText },
];
const DATAGRAM_PLANS: readonly ChartPlan[] = [
  {
    title: 'Messages',
    lines: [
      { name: 'sent', column: 0 },
      { name: 'received', column: 1 },
    ],
    text: perSecond,
  },
];

/** The path between two nodes: what is asked, and the answer. */
export class PathPanel {
  readonly #from = by<HTMLInputElement>('path-from');
  readonly #to = by<HTMLInputElement>('path-to');
  readonly #routing = by<HTMLSelectElement>('path-routing');
  readonly #answer = by('path-answer');
  readonly #onHighlight: (highlight: Highlight) => void;
  #model: OverlayModel;
  #last = '';

  constructor(model: OverlayModel, onHighlight: (highlight: Highlight) => void) {
    this.#model = model;
    this.#onHighlight = onHighlight;
    by('path-form').addEventListener('submit', (event) => event.preventDefault());
    for (const field of [this.#from, this.#to, this.#routing])
      field.addEventListener('input', () => this.update(true));
  }

  show(model: OverlayModel): void {
    this.#model = model;
    by('routing-label').hidden = model.self === null && model.metric === 'hops';
    this.#from.value = this.#to.value = '';
    this.#routing.value = 'link-state';
    this.update(true);
  }

  set(end: 'from' | 'to', node: string): void {
    const field = end === 'from' ? this.#from : this.#to;
    field.value = this.#model.nameOf(node);
    this.update(true);
  }

  /** A node was chosen on the map: the end of a path that begins here. */
  choose(node: string): void {
    const { self } = this.#model;
    if (this.#from.value === '' && self !== null) this.#from.value = this.#model.nameOf(self);
    if (this.#from.value === '') this.set('from', node);
    else if (this.#model.find(this.#from.value)?.id !== node) this.set('to', node);
  }

  update(always = false): void {
    const from = this.#model.find(this.#from.value),
      to = this.#model.find(this.#to.value);
    const said = this.#words(from?.id ?? null, to?.id ?? null);
    const text = JSON.stringify([said.highlight, said.lines]);
    if (text === this.#last && !always) return;
    this.#last = text;
    this.#onHighlight(said.highlight);
    this.#answer.replaceChildren(...said.lines.map((line) => this.#element(line)));
  }

  #element(line: Line): HTMLElement {
    if (line.hops === undefined) return make('p', line.mark ?? '', line.text);
    const list = make('ol', `hops ${line.mark ?? ''}`);
    for (const { name, cost } of line.hops) {
      const item = make('li', '', make('b', '', name));
      if (cost !== null) item.append(make('span', 'quiet', cost));
      list.append(item);
    }
    return make('div', '', make('p', 'way-title', line.text), list);
  }

  #words(from: string | null, to: string | null): { highlight: Highlight; lines: Line[] } {
    const nothing = { main: null, second: null };
    const say = (text: string, mark = 'quiet'): { highlight: Highlight; lines: Line[] } => ({
      highlight: nothing,
      lines: [{ text, mark }],
    });
    const unknown = [this.#from, this.#to].find(
      ({ value }) => value.trim() !== '' && this.#model.find(value) === null,
    );
    if (unknown !== undefined) return say(`No node is called ${unknown.value.trim()}.`);
    if (from === null || to === null) return say('Name two nodes, or click one on the map.');
    if (from === to) return say('Two different nodes make a path.');
    if (this.#routing.value === 'byzantine') return this.#byzantine(from, to, say);
    const { main, second } = this.#model.ways(from, to);
    if (main === null)
      return say(
        `No way leads from ${this.#model.nameOf(from)} to ${this.#model.nameOf(to)} now.`,
        'warn',
      );
    const total = (way: { nodes: readonly string[]; costMs: number | null }): string =>
      `${way.nodes.length - 1} hop${way.nodes.length === 2 ? '' : 's'}` +
      (way.costMs === null ? '' : `, ${msText(way.costMs)}`);
    const lines: Line[] = [
      {
        text: `${this.#model.metric === 'hops' ? 'Fewest hops' : 'In use'}: ${total(main)}`,
        mark: 'main',
        hops: this.#hops(main.nodes),
      },
      second === null
        ? { text: 'Nothing would be taken instead: it is the only way out.', mark: 'warn' }
        : {
            text: `Else: ${total(second)}`,
            mark: 'second',
            hops: this.#hops(second.nodes),
          },
    ];
    return { highlight: { main: main.nodes, second: second?.nodes ?? null }, lines };
  }

  /** Flows are the daemon's own: it knows of no other's. */
  #byzantine(
    from: string,
    to: string,
    say: (text: string, mark?: string) => { highlight: Highlight; lines: Line[] },
  ): { highlight: Highlight; lines: Line[] } {
    const { self, look } = this.#model;
    if (look?.byzantine == null)
      return say('This daemon has no Byzantine routing: that needs security: sealed.');
    if (from !== self)
      return say(
        `Paths of Byzantine routing are known to their source alone: ask the daemon of ` +
          `${this.#model.nameOf(from)}.`,
      );
    const flow = look.byzantine.flows.find(({ node, main }) => node === to && main !== null);
    if (flow?.main == null)
      return say(`Nothing goes to ${this.#model.nameOf(to)} by Byzantine routing now.`);
    const { main, second } = flow;
    const lines: Line[] = [
      { text: `In use: ${main.length - 1} hops`, mark: 'main', hops: this.#hops(main) },
    ];
    if (second !== null)
      lines.push({
        text: `While it searches for a fault: ${second.length - 1} hops`,
        mark: 'second',
        hops: this.#hops(second),
      });
    return { highlight: { main, second }, lines };
  }

  #hops(nodes: readonly string[]): { name: string; cost: string | null }[] {
    return nodes.map((id, i) => {
      const before = nodes[i - 1];
      const cost = before === undefined ? null : this.#model.costMs(before, id);
      return {
        name: this.#model.nameOf(id),
        cost: cost === null || this.#model.metric === 'hops' ? null : `+${msText(cost)}`,
      };
    });
  }
}

interface Line {
  readonly text: string;
  readonly mark?: string;
  readonly hops?: readonly { readonly name: string; readonly cost: string | null }[];
}

/** What is selected: facts, and how it did. */
export class DetailPanel {
  readonly #place = by('detail');
  readonly #title = by('detail-title');
  readonly #charts = new Charts(by('charts'));
  readonly #histories: Histories;
  #shown = '';

  constructor(histories: Histories) {
    this.#histories = histories;
  }

  redraw(): void {
    this.#charts.redraw();
  }

  show(model: OverlayModel, picked: Picked | null): void {
    const link = picked?.kind === 'link' ? model.links.get(picked.key) : undefined;
    const node = picked?.kind === 'node' ? model.nodes.get(picked.key) : undefined;
    const session =
      picked?.kind === 'session'
        ? model.look?.sessions.find((row) => sessionKey(row) === picked.key)
        : undefined;
    if (link !== undefined) {
      const plans = link.carried !== null ? [] : link.own === null ? FAR_PLANS : OWN_PLANS;
      this.#write(`${model.nameOf(link.a)} – ${model.nameOf(link.b)}`, linkFacts(link));
      this.#charts.show(plans.length === 0 ? null : this.#of(link.key, plans), plans);
    } else if (node !== undefined) {
      const links = [...model.links.values()].filter(({ a, b }) => a === node.id || b === node.id);
      const facts: [string, string][] = [
        [
          'State',
          node.why ?? (node.self ? 'this daemon' : node.reachable ? 'reachable' : 'out of reach'),
        ],
        [
          'Links',
          links
            .map((one) => `${model.nameOf(one.a === node.id ? one.b : one.a)} (${linkWords(one)})`)
            .join('\n'),
        ],
      ];
      if (model.self !== null) facts.unshift(['Address', node.id]);
      if (node.version !== null) facts.push(['Release', node.version]);
      if (node.groups.length > 0) facts.push(['Groups', node.groups.join(', ')]);
      if (node.next !== null && node.next !== '') facts.push(['Do', node.next]);
      this.#write(node.name, facts);
      this.#charts.show(null, []);
    } else if (session !== undefined) {
      const { kind, state, port, remoteName, remoteNode, remotePort, limitedBy } = session;
      const facts: [string, string][] = [
        ['Socket', `${kind}${state === '' ? '' : `, ${state}`}, port ${port}`],
        ['Way', `${session.link}, ${session.routing}`],
        [
          'So far',
          kind === 'stream'
            ? `${bytesText(session.sent)} sent, ${bytesText(session.received)} received`
            : `${countText(session.sent)} sent, ${countText(session.received)} received`,
        ],
      ];
      if (remoteNode !== null)
        facts.splice(1, 0, ['With', `${remoteName ?? remoteNode}:${remotePort ?? '?'}`]);
      if (limitedBy !== null) facts.push(['Limited by', limitedBy]);
      this.#write(session.client, facts);
      const plans = kind === 'stream' ? STREAM_PLANS : DATAGRAM_PLANS;
      this.#charts.show(this.#histories.get(`session ${picked!.key}`) ?? null, plans);
    } else {
      this.#charts.show(null, []);
      if (picked !== null) this.#write('Selected', [['State', 'it is not there any more']]);
      else this.#write('Selected', []);
    }
  }

  #of(key: string, plans: readonly ChartPlan[]) {
    return plans === OWN_PLANS
      ? this.#histories.of(`own ${key}`, 5)
      : this.#histories.of(`far ${key}`, 4);
  }

  #write(title: string, facts: readonly (readonly [string, string])[]): void {
    const text = JSON.stringify([title, facts]);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#title.textContent = title;
    if (facts.length === 0) {
      this.#place.replaceChildren(
        make(
          'p',
          'quiet',
          'Nothing yet. A click on a node or a link, or a name in the tables, shows how it does ' +
            'over time.',
        ),
      );
      return;
    }
    const list = make('dl', 'facts');
    for (const [term, value] of facts) list.append(make('dt', '', term), make('dd', '', value));
    this.#place.replaceChildren(list);
  }
}

function linkFacts(link: ModelLink): [string, string][] {
  const facts: [string, string][] = [['State', linkWords(link)]];
  const { own, carried, weight } = link;
  if (weight > 1 && carried === null)
    facts.push([
      'Weight',
      `${weight}: blamed for losses by Byzantine routing, which goes round it`,
    ]);
  if (carried !== null)
    facts.push([
      'Carried',
      `${countText(carried.datagrams)} datagrams, ${bytesText(carried.bytes)}; ` +
        `${countText(carried.retransmitted)} sent again, ${countText(carried.dropped)} dropped`,
    ]);
  if (own !== null) {
    facts.push(['At', own.address], [own.state, `for ${agoText(own.sinceMs)}`]);
    if (own.why !== null) facts.push(['Why', own.why.text], ['Do', own.why.next]);
    if (own.damped) facts.push(['Damped', 'it died again and again; routes avoid it']);
  }
  return facts;
}
