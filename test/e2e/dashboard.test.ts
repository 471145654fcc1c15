/**
 * The dashboard in a real browser: a live ring of real daemons, what happens to it, and a report;
 * for people who see it, who do not, and who have a phone.
 *
 * Needs Debian's chromium, and is skipped where it is not installed. `npm run check:dashboard` (or
 * SPINES_LONG=1) measures three hundred nodes by the browser's own trace, too, and leaves pictures
 * in `reports/dashboard` to be looked at.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';

import { openDashboard } from '../../src/cli/dashboard/dashboard.ts';
import { DashboardPages } from '../../src/host/web/dashboard-pages.ts';
import { LiveOverlay } from '../../src/host/web/live-overlay.ts';
import { parseTopology } from '../../src/lab/topology/topology-parse.ts';
import {
  axeFaults,
  buildDashboard,
  firstPicture,
  HAS_CHROMIUM,
  openBrowser,
  openPage,
  workOf,
  type Opened,
} from '../support/browser.ts';
import { PROGRAM, RealNetwork } from '../support/processes.ts';
import { TopologySource } from '../support/topology-source.ts';

const LONG = process.env['SPINES_LONG'] === '1';
const root = fileURLToPath(new URL('../..', import.meta.url));
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true };

const REPORT = {
  ...{ schema: 1, topology: 'three', mode: 'virtual', security: 'sealed', seed: 1 },
  durationMs: 10_000,
  flows: [],
  links: [
    { a: 'a', b: 'b', datagrams: 100, bytes: 9_000, retransmitted: 1, dropped: 0 },
    { a: 'b', b: 'c', datagrams: 100, bytes: 9_000, retransmitted: 1, dropped: 30 },
  ],
  events: [
    { atMs: 2_000, what: 'down a-b' },
    { atMs: 6_000, what: 'up a-b' },
  ],
  convergence: [{ atMs: 2_000, event: 'down a-b', convergedAfterMs: 120 }],
};

const network = new RealNetwork();
const programs: ChildProcess[] = [];
let browser: Browser;

/** Of each row that is shown its first three cells. */
async function rows(page: Page): Promise<string[]> {
  return await page.$$eval('#table-panel tbody tr', (all) =>
    all.map((one) =>
      [...one.children]
        .slice(0, 3)
        .map((cell) => cell.textContent)
        .join(': '),
    ),
  );
}

/** Asked from outside: what the page may run is what it brought along. */
async function untilRows(page: Page, wanted: RegExp): Promise<void> {
  while (!(await rows(page)).some((row) => wanted.test(row))) await page.waitForTimeout(40);
}

/** The address that `spines dashboard` prints. */
async function dashboardOf(socket: string): Promise<string> {
  const child = spawn(process.execPath, [PROGRAM, 'dashboard', '--socket', socket, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  programs.push(child);
  let text = '';
  for await (const chunk of child.stdout) {
    text += String(chunk);
    if (text.includes('}')) break;
  }
  return (JSON.parse(text) as { url: string }).url;
}

function faultless({ faults, strangers }: Opened): void {
  expect(faults).toEqual([]);
  expect(strangers).toEqual([]);
}

async function picture(page: Page, name: string): Promise<void> {
  if (!LONG) return;
  mkdirSync(`${root}/reports/dashboard`, { recursive: true });
  await page.screenshot({ path: `${root}/reports/dashboard/${name}.png`, fullPage: true });
}

describe.skipIf(!HAS_CHROMIUM)('the dashboard (needs /usr/bin/chromium)', () => {
  beforeAll(async () => {
    buildDashboard();
    browser = await openBrowser();
  });

  afterAll(async () => {
    for (const child of programs) child.kill('SIGTERM');
    await browser.close();
    await network.close();
  });

  test('shows a live ring, what happens to it, and that its daemon is gone', async () => {
    await network.start(4, [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 0],
    ]);
    await (await network.daemons[0]!.connect()).close();
    const url = await dashboardOf(network.daemons[0]!.socket);
    const opened = await openPage(browser, url);
    const { page } = opened;
    await firstPicture(page);
    expect(page.url()).not.toContain('token');
    for (const link of ['n0 – n1', 'n1 – n2', 'n2 – n3', 'n0 – n3'])
      await untilRows(page, new RegExp(`^${link}: good`));
    expect(await rows(page)).toHaveLength(4);
    expect(await page.textContent('#state-text')).toBe('Live');
    // By keyboard alone: to a node, and a path to it.
    await page.focus('#canvas');
    await page.keyboard.press('ArrowRight');
    while ((await page.textContent('#announcer')) === '') await page.waitForTimeout(40);
    await page.fill('#path-from', 'n0');
    await page.fill('#path-to', 'n2');
    await page.waitForSelector('#path-answer .hops.main');
    expect(await page.$$eval('#path-answer .hops.second li', (all) => all.length)).toBe(3);
    await page.click('#table-panel tbody tr:first-child button');
    await page.waitForSelector('#charts canvas');
    expect(await axeFaults(page)).toEqual([]);
    await picture(page, 'ring-1280');

    await network.daemons[2]!.end('SIGKILL');
    await page.waitForSelector('#events .tone-bad');
    await untilRows(page, /^n1 – n2: down/);
    await page.click('#tab-nodes');
    await untilRows(page, /^n2: .*out of reach/);
    faultless(opened);

    await network.daemons[0]!.end('SIGKILL');
    await page.waitForSelector('#state[data-state="away"]');
    expect(await page.textContent('#banner')).toContain('went away');
    expect(await page.isVisible('#banner')).toBe(true);
    await picture(page, 'away-1280');
    await page.context().close();
  });

  test('shows a report over time, on a phone and in the dark as well', async () => {
    const door = await openDashboard(new DashboardPages(null, JSON.stringify(REPORT)), 0);
    try {
      const opened = await openPage(browser, door.url, { ...PHONE, colorScheme: 'dark' });
      const { page } = opened;
      await firstPicture(page);
      await untilRows(page, /^b – c: loses much/);
      await untilRows(page, /^a – b: good/);
      await page.fill('#moment', '300');
      await untilRows(page, /^a – b: down/);
      await page.fill('#moment', '900');
      await untilRows(page, /^a – b: good/);
      expect(await page.textContent('#events')).toContain('routes right after 120 ms');
      const wide = await page.evaluate('document.documentElement.scrollWidth');
      expect(wide, 'columns of a page on a phone').toBeLessThanOrEqual(390);
      expect(await axeFaults(page)).toEqual([]);
      await picture(page, 'report-390-dark');
      faultless(opened);
      await page.context().close();
    } finally {
      await door.close();
    }
  });

  test.runIf(LONG)('is quick with three hundred nodes', async () => {
    const file = `${root}/topologies/random-300.yaml`;
    const source = new TopologySource(parseTopology(readFileSync(file, 'utf8'), file, []));
    const door = await openDashboard(new DashboardPages(new LiveOverlay(source)), 0);
    try {
      const opened = await openPage(browser, 'about:blank');
      const { page } = opened;
      await browser.startTracing(page, {
        categories: [
          'devtools.timeline',
          'blink.user_timing',
          'toplevel',
          'disabled-by-default-devtools.timeline',
        ],
      });
      await page.goto(door.url);
      const firstMs = await firstPicture(page);
      // Until it is still.
      await page.waitForTimeout(6_000);
      const box = (await page.locator('#canvas').boundingBox())!;
      const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
      const onNode = (): Promise<boolean> =>
        page.$eval('#map-tip', (tip) => !tip.hidden && tip.textContent.includes(' link'));
      for (let i = 0; i < 500 && !(await onNode()); i += 1) {
        const away = 4 * Math.sqrt(i);
        at.x = box.x + box.width / 2 + away * Math.cos(i);
        at.y = box.y + box.height / 2 + away * Math.sin(i);
        await page.mouse.move(at.x, at.y);
      }
      await page.evaluate(() => performance.mark('drag-begins'));
      await page.mouse.down();
      for (let i = 0; i < 150; i += 1)
        await page.mouse.move(at.x + 140 * Math.sin(i / 9), at.y + 90 * (1 - Math.cos(i / 9)));
      await page.evaluate(() => performance.mark('drag-ends'));
      await page.mouse.up();
      const work = workOf(await browser.stopTracing(), 'drag-begins', 'drag-ends');
      console.log(JSON.stringify({ firstMs: Math.round(firstMs), ...work }));
      await picture(page, 'random-300-1280');
      await page.evaluate(`new MutationObserver(() => {
        if (globalThis.seenAt === undefined && document.querySelector('.s-down') !== null)
          globalThis.seenAt = Date.now();
      }).observe(document.body, { subtree: true, childList: true, attributes: true })`);
      const cutAt = source.cut(0);
      await untilRows(page, /: down/);
      const shownAfterMs = Number(await page.evaluate('seenAt')) - cutAt;
      console.log(JSON.stringify({ shownAfterMs }));
      faultless(opened);
      expect(firstMs).toBeLessThan(2_000);
      expect(work.frames).toBeGreaterThan(20);
      expect(work.medianFrameMs).toBeLessThanOrEqual(8);
      expect(work.longestTaskMs).toBeLessThanOrEqual(50);
      expect(shownAfterMs).toBeLessThan(1_000);
    } finally {
      await door.close();
    }
  });
});
