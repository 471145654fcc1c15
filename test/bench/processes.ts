/** Child processes of the bench: asked one thing at a time over the IPC channel. */

import { fork, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { fileURLToPath } from 'node:url';

export class Worker {
  readonly child: ChildProcess;

  /** `file`: a compiled file beside this one. */
  constructor(file: 'role.js' | 'program.js' | 'inside.js') {
    this.child = fork(fileURLToPath(new URL(file, import.meta.url)), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: file === 'inside.js' ? ['--expose-gc'] : [] });
  }

  ask<T>(order: object): Promise<T> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('a bench process ended early'));
      this.child.once('exit', onExit);
      this.child.once('message', (answer) => {
        this.child.off('exit', onExit);
        resolve(answer as T);
      });
      this.child.send(order);
    });
  }

  stop(): void {
    this.child.kill('SIGKILL');
  }
}

export async function freePort(): Promise<number> {
  const probe = createSocket('udp4');
  await new Promise<void>((resolve) => probe.bind(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}

/** Frees what can be freed. Needs --expose-gc; compiled code may go too, so what is timed afterwards must warm up. */
export function collect(): void {
  // Buffers are given back after the objects that held them.
  for (let i = 0; i < 4; i += 1) globalThis.gc!();
}

/** CPU time of this process so far, microseconds: what else the machine does does not count. */
export function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
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

export function printTable(rows: readonly (readonly string[])[], textColumns: number): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  for (const row of rows) console.log(row.map((cell, i) => (i < textColumns ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ').trimEnd());
}
