/** Child processes of the bench: asked one thing at a time over the IPC channel. */

import { fork, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { fileURLToPath } from 'node:url';

export class Worker {
  readonly child: ChildProcess;

  /** `file`: a compiled file beside this one. */
  constructor(file: 'role.js' | 'program.js') {
    this.child = fork(fileURLToPath(new URL(file, import.meta.url)), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
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

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}

export function printTable(rows: readonly (readonly string[])[], textColumns: number): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  for (const row of rows) console.log(row.map((cell, i) => (i < textColumns ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ').trimEnd());
}
