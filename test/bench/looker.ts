/**
 * Who looks at a daemon, in a process of its own: metrics scraped once a second, one dashboard's
 * event stream, one watch; or nobody.
 *
 * Started by looking.ts. Reads all that comes and shows nothing.
 */

import { get, type ClientRequest } from 'node:http';
import { SpinesClient } from 'spines-client';

export type LookOrder =
  | { readonly kind: 'look'; readonly socket: string; readonly port: number }
  | { readonly kind: 'leave' };

export interface Looked {
  /** Bytes of metrics and of the dashboard's stream, and events of the watch. */
  readonly metricsBytes: number;
  readonly dashboardBytes: number;
  readonly scrapes: number;
}

const SCRAPE_MS = 1_000;
let leave: (() => Promise<void>) | null = null;
let metricsBytes = 0,
  dashboardBytes = 0,
  scrapes = 0;

function read(port: number, path: string, onBytes: (bytes: number) => void): ClientRequest {
  return get({ host: '127.0.0.1', port, path, agent: false }, (answer) => {
    if (answer.statusCode !== 200) throw new Error(`${path} answers ${answer.statusCode}`);
    answer.on('data', (chunk: Buffer) => onBytes(chunk.length));
    // One that is left is cut.
    answer.on('error', () => {});
  }).on('error', (error) => {
    if (leave !== null) throw error;
  });
}

async function look(socket: string, port: number): Promise<void> {
  [metricsBytes, dashboardBytes, scrapes] = [0, 0, 0];
  const client = await SpinesClient.connect({ path: socket, name: 'looker' });
  const watcher = client.watch();
  void (async () => {
    for await (const _event of watcher);
  })();
  leave = async () => {
    leave = null;
    clearInterval(timer);
    dashboard.destroy();
    await watcher.return?.();
    await client.close();
  };
  const dashboard = read(port, '/dashboard/events', (bytes) => (dashboardBytes += bytes));
  const scrape = (): void => {
    scrapes += 1;
    read(port, '/metrics', (bytes) => (metricsBytes += bytes));
  };
  const timer = setInterval(scrape, SCRAPE_MS);
}

process.on('message', (order: LookOrder) => {
  const done =
    order.kind === 'look' ? look(order.socket, order.port) : (leave?.() ?? Promise.resolve());
  void done.then(() => process.send!({ metricsBytes, dashboardBytes, scrapes } satisfies Looked));
});
process.on('disconnect', () => process.exit(0));
