/**
 * Debian's Chromium for tests, where it is installed: pages, what they asked for, and what the
 * browser's own trace says of their work.
 */

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';
export const HAS_CHROMIUM = existsSync(CHROMIUM);
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Builds the page's files, where they are not up to date. */
export function buildDashboard(): void {
  execFileSync(process.execPath, [`${root}/.ci/dashboard.mjs`]);
}

export async function openBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: CHROMIUM, args: FLAGS, timeout: 120_000 });
}

export interface Opened {
  readonly page: Page;
  /** What went wrong in the page, in its own words. */
  readonly faults: string[];
  /** Addresses that it asked for and that are not on the machine. */
  readonly strangers: string[];
}

/** A page of its own context. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  const faults: string[] = [],
    strangers: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  page.on('request', (request) => {
    const to = new URL(request.url());
    if (to.hostname !== '127.0.0.1' && to.protocol !== 'data:') strangers.push(request.url());
  });
  await page.goto(url);
  return { page, faults, strangers };
}

/** Until the map shows something. Milliseconds since the page was asked for. */
export async function firstPicture(page: Page): Promise<number> {
  await page.waitForFunction(() => performance.getEntriesByName('first-picture').length > 0);
  return await page.evaluate(() => performance.getEntriesByName('first-picture')[0]!.startTime);
}

/** What axe-core finds wrong with the page as it is, a line each. */
export async function axeFaults(page: Page): Promise<string[]> {
  const source = readFileSync(
    createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
    'utf8',
  );
  await page.evaluate(source);
  const script = 'globalThis.axe.run({ resultTypes: ["violations"] })';
  const { violations } = (await page.evaluate(script)) as {
    violations: { id: string; nodes: { target: string[]; failureSummary: string }[] }[];
  };
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
  );
}

export interface Work {
  /** Of the page's main thread, milliseconds of processor time. */
  readonly longestTaskMs: number;
  readonly frames: number;
  readonly medianFrameMs: number;
}

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/** Of a trace: all tasks of the main thread, and the frames between two marks of the page. */
export function workOf(trace: Buffer, from: string, to: string): Work {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] };
  const begin = traceEvents.find(({ name }) => name === from)!,
    end = traceEvents.find(({ name }) => name === to)!;
  const own = traceEvents.filter(({ pid, tid }) => pid === begin.pid && tid === begin.tid);
  const tasks = own.filter(({ name, ph }) => name === 'RunTask' && ph === 'X');
  const took = ({ tdur, dur = 0 }: TraceEvent): number => (tdur ?? dur) / 1_000;
  const frames = own.filter(
    ({ name, ts }) => name === 'FireAnimationFrame' && ts > begin.ts && ts < end.ts,
  );
  const work: number[] = [];
  frames.slice(1).forEach(({ ts }, i) => {
    const since = frames[i]!.ts;
    const within = tasks.filter((task) => task.ts + (task.dur ?? 0) > since && task.ts < ts);
    work.push(
      within
        .filter((task) => task.ts + (task.dur ?? 0) <= ts + 1)
        .reduce((sum, task) => sum + took(task), 0),
    );
  });
  work.sort((a, b) => a - b);
  return {
    longestTaskMs: Math.max(...tasks.map(took)),
    frames: frames.length,
    medianFrameMs: work[work.length >> 1] ?? NaN,
  };
}
