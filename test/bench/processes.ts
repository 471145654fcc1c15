/**
 * Child processes of the bench, asked one thing at a time over the IPC channel, and the arithmetic
 * and tables that every section uses.
 *
 * None outlives the bench: they are killed when it exits, and end by themselves when their channel
 * closes.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Compiled file beside this one. */
export function beside(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}

export interface Launch {
  readonly script: string;
  readonly args?: readonly string[];
  readonly nodeArgs?: readonly string[];
  /** Command that runs the process elsewhere, as in a network namespace; empty: here. */
  readonly prefix?: readonly string[];
}

/** An answer that takes longer means that the process hangs. */
const ANSWER_MS = 180_000;
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class Worker {
  readonly child: ChildProcess;
  readonly #what: string;

  constructor({ script, args = [], nodeArgs = [], prefix = [] }: Launch) {
    const [command, ...rest] = [...prefix, process.execPath, ...nodeArgs, script, ...args] as [
      string,
      ...string[],
    ];
    this.#what = [script.split('/').at(-1), ...args].join(' ');
    this.child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    running.add(this.child);
    this.child.once('exit', () => running.delete(this.child));
    this.child.once('error', () => running.delete(this.child));
  }

  /** Rejects when the process ends first, or does not answer. */
  ask<T>(order: object): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.child.off('exit', onExit).off('error', onError).off('message', onMessage);
      };
      const onExit = (): void => {
        settle();
        reject(new Error(`a process of the bench ended early: ${this.#what}`));
      };
      const onError = (error: Error): void => {
        settle();
        reject(error);
      };
      const onMessage = (answer: unknown): void => {
        settle();
        resolve(answer as T);
      };
      const timer = setTimeout(() => {
        settle();
        reject(
          new Error(
            `a process of the bench does not answer ${JSON.stringify(order).slice(0, 100)}: ` +
              `${this.#what}`,
          ),
        );
      }, ANSWER_MS);
      this.child.once('exit', onExit).once('error', onError).once('message', onMessage);
      if (this.child.exitCode !== null || this.child.signalCode !== null) onExit();
      else this.child.send(order);
    });
  }

  stop(): void {
    this.child.kill('SIGKILL');
  }
}

/** Removed when the bench exits, if not before. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'spines-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function freePort(): Promise<number> {
  const probe = createSocket('udp4');
  await new Promise<void>((resolve) => probe.bind(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}

export const pause = (ms: number): Promise<unknown> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Frees what can be freed. Needs --expose-gc; compiled code may go too, so what is timed afterwards
 * must warm up.
 */
export function collect(): void {
  // Buffers are given back after the objects that held them.
  for (let i = 0; i < 4; i += 1) globalThis.gc!();
}

/** CPU time of this process so far, microseconds: what else the machine does does not count. */
export function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * The first readings of a process take long, and latencies between processes would be wrong by
 * that: the quickest of many counts.
 */
function originMs(): number {
  const hrMs = (): number => Number(process.hrtime.bigint()) / 1e6;
  let origin = 0,
    quickest = Infinity;
  for (let tries = 0; tries < 100; tries += 1) {
    const before = hrMs(),
      now = performance.now(),
      after = hrMs();
    if (after - before >= quickest) continue;
    quickest = after - before;
    origin = (before + after) / 2 - now;
  }
  return origin;
}

const ORIGIN_MS = originMs();

/** Milliseconds of the machine's monotonic clock, which all processes have in common. */
export function monotonicMs(): number {
  return ORIGIN_MS + performance.now();
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** By linear interpolation; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) return NaN;
  const sorted = Float64Array.from(values).sort();
  const at = share * (sorted.length - 1),
    below = Math.floor(at);
  const low = sorted[below]!,
    high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (at - below);
}

/** "lowest-highest". */
export function spread(values: readonly number[], digits = 2): string {
  return `${Math.min(...values).toFixed(digits)}-${Math.max(...values).toFixed(digits)}`;
}

/** With commas and no decimals. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Quotients of what was measured in the same rounds. */
export function ratios(values: readonly number[], of: readonly number[]): number[] {
  return values.map((value, i) => value / of[i]!);
}

/** The first row is the head; `textColumns` of them are set to the left. */
export function printTable(rows: readonly (readonly string[])[], textColumns: number): void {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  for (const row of rows)
    console.log(
      row
        .map((cell, i) => (i < textColumns ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    );
}
