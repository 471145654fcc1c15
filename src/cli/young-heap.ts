/**
 * Keeps what a daemon's start allocates from making the heap's young generation large for good.
 *
 * V8 doubles it whenever much survives, as while modules load, up to two halves of 16 MB, and gives that back only when it collects
 * everything: a quarter of an idle daemon's memory. Imported first by the program, and nothing but daemons is touched; one that runs
 * lets it grow again, when load asks for it.
 */

import { setFlagsFromString } from 'node:v8';

const isDaemon = process.argv[2] === 'daemon';
if (isDaemon) setFlagsFromString('--semi-space-growth-factor=1');

/** V8's own way, from now on. */
export function letYoungHeapGrow(): void {
  if (isDaemon) setFlagsFromString('--semi-space-growth-factor=2');
}
