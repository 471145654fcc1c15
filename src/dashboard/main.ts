/**
 * The dashboard in the browser: live, as a daemon tells it, or a report of `spines replay`.
 *
 * Owns what is shown now and what is selected; everything is drawn again when frames come, at most
 * once a frame of the screen. Asks nothing of anybody but the daemon that served it, and can change
 * nothing there.
 */

import { by } from './dom.ts';
import { EventList } from './events.ts';
import { Feed, type FeedState } from './feed.ts';
import { agoText, byName } from './format.ts';
import { Layout } from './layout.ts';
import { MapView } from './map.ts';
import { OverlayModel } from './model.ts';
import { DetailPanel, PathPanel, type Picked } from './panels.ts';
import { PlayBack } from './playback.ts';
import { readReport, Replay } from './replay.ts';
import { Recorder } from './recorder.ts';
import { Histories } from './series.ts';
import { TableView } from './table.ts';
import { flowSheet, linkSheet, nodeSheet, sessionSheet, type Sheet } from './tables.ts';
import { Theme } from './theme.ts';

type Tab = 'links' | 'nodes' | 'sessions';
const TABS: readonly Tab[] = ['links', 'nodes', 'sessions'];
/** Names that a field offers. */
const NAMES_MAX = 1_000;

class Dashboard {
  readonly #live = new OverlayModel();
  readonly #histories = new Histories();
  readonly #recorder = new Recorder(this.#live, this.#histories);
  readonly #events = new EventList();
  readonly #detail = new DetailPanel(this.#histories);
  readonly #table = new TableView(by('table-panel'), (key) => this.#onRow(key));
  readonly #layout = new Layout();
  readonly #path: PathPanel;
  readonly #map: MapView;
  readonly #playBack = new PlayBack((ms) => this.#onMoment(ms));
  readonly #theme: Theme;
  #replay: Replay | null = null;
  #tab: Tab = 'links';
  #picked: Picked | null = null;
  #state: FeedState = 'waiting';
  #drawing = 0;
  #namesOf = -1;
  #sheets: { model: OverlayModel; look: unknown; sheets: Record<Tab, Sheet> } | null = null;

  constructor() {
    this.#path = new PathPanel(this.#live, (highlight) => {
      if (this.#map !== undefined) this.#map.highlight = highlight;
    });
    this.#map = new MapView(
      by<HTMLCanvasElement>('canvas'),
      by('map-tip'),
      this.#layout,
      this.#live,
      {
        onSelect: (target) => this.#pick(target),
        onPathEnd: (end, node) => this.#path.set(end, node),
        onSay: (text) => this.#say(text),
      },
    );
    this.#map.onFirst = () => {
      by('map-note').hidden = true;
      performance.mark('first-picture');
    };
    this.#theme = new Theme((palette) => {
      this.#map.palette = palette;
      this.#detail.redraw();
    });
    this.#listen();
    document.documentElement.dataset['ready'] = '';
  }

  async start(): Promise<void> {
    const { mode } = document.documentElement.dataset;
    this.#theme.start();
    if (mode !== 'live') await this.#fetchReport();
    if (mode === 'report') return;
    this.#feed();
  }

  #feed(): void {
    new Feed('events', {
      onMap: (frame) => {
        this.#live.applyMap(frame, Date.now());
        this.#draw();
      },
      onLook: (frame) => {
        this.#live.applyLook(frame);
        this.#live.expire(Date.now());
        this.#recorder.record(frame);
        this.#draw();
      },
      onEvent: (event) => {
        this.#events.add(event);
      },
      onState: (state, why) => this.#onState(state, why),
    }).start();
  }

  async #fetchReport(): Promise<void> {
    try {
      const answer = await fetch('report.json');
      if (!answer.ok) throw new Error(`the report can't be had: ${answer.status}`);
      this.#open(await answer.text());
    } catch (error) {
      this.#warn(error instanceof Error ? error.message : String(error));
    }
  }

  /* ------------------------------------------------------------------ what is shown */

  get #model(): OverlayModel {
    return this.#replay?.model ?? this.#live;
  }

  /** Once for all that comes within a frame of the screen. */
  #draw(): void {
    if (this.#drawing === 0)
      this.#drawing = requestAnimationFrame(() => {
        this.#drawing = 0;
        this.#drawNow();
      });
  }

  #drawNow(): void {
    const model = this.#model;
    this.#map.refresh();
    this.#head();
    this.#path.update();
    this.#detail.show(model, this.#picked);
    this.#emptiness();
    // In tasks of their own: the picture comes first, and no task is long.
    setTimeout(() => this.#drawTable());
    if (model.nodes.size > 0 && this.#namesOf !== model.shape) {
      this.#namesOf = model.shape;
      setTimeout(() => this.#offerNames());
    }
  }

  #head(): void {
    const model = this.#model;
    const links = [...model.links.values()];
    const wrong = links.filter(({ state }) => state !== 'good').length;
    const reached = [...model.nodes.values()].filter((node) => node.reachable || node.self).length;
    const sums: [string, string][] = [
      ['Nodes', reached === model.nodes.size ? `${reached}` : `${reached} of ${model.nodes.size}`],
      ['Links', `${links.filter(({ goneAt }) => goneAt === null).length}`],
      ['Not good', `${wrong}`],
    ];
    if (this.#replay === null && model.look !== null) {
      const { daemon, sessionsTotal } = model.look;
      sums.push(['Sockets', `${sessionsTotal}`], ['Up', agoText(daemon.uptimeMs)]);
      by('who').textContent = daemon.name === '' ? daemon.node : daemon.name;
      by('whose').textContent =
        `${daemon.node}, ${daemon.security === 'sealed' ? 'sealed' : 'not sealed'}`;
      document.title = `${daemon.name} – spines`;
    } else if (this.#replay !== null) {
      const { topology, mode, seed } = this.#replay.report;
      by('who').textContent = topology;
      by('whose').textContent = `replay in ${mode} time, seed ${seed}`;
      document.title = `${topology} – spines replay`;
    }
    const list = by('sums');
    const text = JSON.stringify(sums);
    if (list.dataset['text'] === text) return;
    list.dataset['text'] = text;
    list.replaceChildren(
      ...sums.map(([term, value]) => {
        const pair = document.createElement('div'),
          dt = document.createElement('dt'),
          dd = document.createElement('dd');
        dt.textContent = term;
        dd.textContent = value;
        pair.append(dt, dd);
        return pair;
      }),
    );
  }

  #emptiness(): void {
    const note = by('map-note');
    const alone = this.#replay === null && this.#live.look !== null && this.#live.nodes.size <= 1;
    if (!alone) {
      if (note.dataset['alone'] !== undefined) note.hidden = true;
      delete note.dataset['alone'];
      return;
    }
    note.dataset['alone'] = '';
    note.hidden = false;
    const links = this.#live.look!.links.length;
    note.textContent =
      links === 0
        ? 'This daemon is alone: `links:` of its config names nobody, and nobody has called. ' +
          '`spines link add ADDRESS` makes it dial.'
        : `This daemon is alone: of its ${links} link${links === 1 ? '' : 's'} none is up. The ` +
          'table below says why.';
  }

  #offerNames(): void {
    const names = [...this.#model.nodes.values()].map(({ name }) => name);
    names.sort(byName);
    by('node-names').replaceChildren(
      ...names.slice(0, NAMES_MAX).map((name) => {
        const option = document.createElement('option');
        option.value = name;
        return option;
      }),
    );
  }

  #drawTable(): void {
    const model = this.#model;
    if (this.#sheets?.model !== model || this.#sheets.look !== model.look)
      this.#sheets = {
        model,
        look: model.look,
        sheets: {
          links: linkSheet(model),
          nodes: nodeSheet(model),
          sessions: this.#replay === null ? sessionSheet(model) : flowSheet(this.#replay),
        },
      };
    const { columns, empty, caption, rows } = this.#sheets.sheets[this.#tab];
    const wanted = by<HTMLInputElement>('filter').value.trim().toLowerCase();
    const all = rows();
    const kept =
      wanted === ''
        ? all
        : all.filter(({ cells }) =>
            cells.some((cell) =>
              (typeof cell === 'string' ? cell : cell.text).toLowerCase().includes(wanted),
            ),
          );
    this.#table.show(columns, kept, wanted === '' ? empty : `No row has ${wanted}.`, caption);
  }

  /* ------------------------------------------------------------------ what is chosen */

  #pick(picked: Picked | null): void {
    this.#picked = picked;
    this.#recorder.follow(picked?.kind === 'link' ? picked.key : null);
    if (picked?.kind === 'node') this.#path.choose(picked.key);
    this.#draw();
  }

  #onRow(key: string): void {
    if (this.#tab === 'sessions') {
      if (this.#replay === null) this.#pick({ kind: 'session', key });
      else this.#showFlow(key.slice('flow '.length));
      return;
    }
    const target = { kind: this.#tab === 'links' ? ('link' as const) : ('node' as const), key };
    if (target.kind === 'link' && !this.#model.links.has(key)) return;
    this.#map.select(target, true);
    this.#pick(target);
  }

  #showFlow(name: string): void {
    const flow = this.#replay?.report.flows.find((one) => one.name === name);
    const from = this.#replay?.idOf(flow?.from ?? ''),
      to = this.#replay?.idOf(flow?.to ?? '');
    if (from == null || to == null) return;
    this.#path.set('from', from);
    this.#path.set('to', to);
  }

  #say(text: string): void {
    by('announcer').textContent = text;
  }

  /* ------------------------------------------------------------------ states */

  #onState(state: FeedState, why: string | null): void {
    this.#state = state;
    if (this.#replay !== null) return;
    this.#showState(why);
  }

  #showState(why: string | null): void {
    const words: Readonly<Record<FeedState, string>> = {
      waiting: 'Connecting',
      live: 'Live',
      silent: 'No word',
      away: 'Away',
    };
    const place = by('state');
    place.dataset['state'] = this.#state;
    by('state-text').textContent = words[this.#state];
    document.documentElement.classList.toggle(
      'stale',
      this.#state === 'away' || this.#state === 'silent',
    );
    if (this.#state === 'away')
      this.#warn(
        `The daemon went away${why === null ? '' : `: ${why}`}. What is shown is how it was ` +
          'last; ' +
          'it is tried again every two seconds.',
      );
    else if (this.#state === 'silent')
      this.#warn(
        'The daemon has said nothing for four seconds: it, or this machine, is very busy.',
      );
    else this.#warn(null);
  }

  #warn(text: string | null): void {
    const banner = by('banner');
    banner.hidden = text === null;
    banner.textContent = text ?? '';
  }

  /* ------------------------------------------------------------------ replay */

  #open(text: string): void {
    try {
      this.#replay = new Replay(readReport(text));
    } catch (error) {
      this.#warn(`This can't be shown: ${error instanceof Error ? error.message : String(error)}.`);
      return;
    }
    const { report, moments } = this.#replay;
    this.#warn(null);
    document.documentElement.classList.remove('stale');
    const state = by('state');
    state.dataset['state'] = 'replay';
    by('state-text').textContent = 'Replay';
    by('close-report').hidden = document.documentElement.dataset['mode'] === 'report';
    by('timeline').hidden = false;
    by('tab-sessions').textContent = 'Flows';
    this.#events.showMoments(moments);
    this.#playBack.show(report.durationMs, moments);
    this.#changeModel();
  }

  #close(): void {
    this.#playBack.stop();
    this.#replay = null;
    by('close-report').hidden = true;
    by('timeline').hidden = true;
    by('tab-sessions').textContent = 'Sessions';
    this.#events.showLive();
    this.#showState(null);
    this.#changeModel();
  }

  #changeModel(): void {
    this.#picked = null;
    this.#namesOf = -1;
    by('map-note').hidden = this.#model.nodes.size > 0;
    this.#map.show(this.#model);
    this.#path.show(this.#model);
    this.#draw();
  }

  #onMoment(ms: number): void {
    this.#replay?.at(ms);
    this.#events.reach(ms);
    this.#draw();
  }

  /* ------------------------------------------------------------------ controls */

  #listen(): void {
    by('zoom-in').addEventListener('click', () => this.#map.zoomBy(1.4));
    by('zoom-out').addEventListener('click', () => this.#map.zoomBy(1 / 1.4));
    by('zoom-fit').addEventListener('click', () => this.#map.fit());
    by('filter').addEventListener('input', () => this.#drawTable());
    by('theme').addEventListener('click', () => this.#theme.next());
    const find = by<HTMLInputElement>('find');
    find.addEventListener('change', () => {
      const node = this.#model.find(find.value);
      if (node === null) {
        if (find.value.trim() !== '') this.#say(`No node is called ${find.value.trim()}`);
        return;
      }
      const target = { kind: 'node', key: node.id } as const;
      this.#map.select(target, true);
      this.#pick(target);
    });
    for (const tab of TABS) by(`tab-${tab}`).addEventListener('click', () => this.#show(tab));
    by('tables').addEventListener('keydown', (event) => this.#onTabKey(event));
    const file = by<HTMLInputElement>('report-file');
    by('open-report').addEventListener('click', () => file.click());
    file.addEventListener('change', () => void this.#read(file.files?.[0]));
    by('close-report').addEventListener('click', () => this.#close());
    addEventListener('dragover', (event) => event.preventDefault());
    addEventListener('drop', (event) => {
      event.preventDefault();
      void this.#read(event.dataTransfer?.files[0]);
    });
  }

  async #read(file: File | undefined): Promise<void> {
    if (file !== undefined) this.#open(await file.text());
  }

  #show(tab: Tab): void {
    this.#tab = tab;
    for (const one of TABS) {
      const button = by(`tab-${one}`);
      button.setAttribute('aria-selected', String(one === tab));
      button.tabIndex = one === tab ? 0 : -1;
    }
    by('table-panel').setAttribute('aria-labelledby', `tab-${tab}`);
    this.#drawTable();
  }

  /** As the tabs pattern of the ARIA authoring practices has it. */
  #onTabKey(event: KeyboardEvent): void {
    if ((event.target as HTMLElement).getAttribute('role') !== 'tab') return;
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const to = TABS[(TABS.indexOf(this.#tab) + step + TABS.length) % TABS.length]!;
    this.#show(to);
    by(`tab-${to}`).focus();
  }
}

// Tasks of their own: none is long, and the page is there meanwhile.
setTimeout(() => {
  const dashboard = new Dashboard();
  setTimeout(() => void dashboard.start());
});
