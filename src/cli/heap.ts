/**
 * What the program tells V8 about its heap, where that is about to carry data.
 *
 * V8 grows the old generation's bound with the heap, and counts the bytes of Buffers against it. A
 * daemon's heap is ten megabytes, what arrives in a second a hundred: V8 would mark the whole heap
 * thirty times a second, at five to ten milliseconds of latency each. With five times the heap as
 * bound it hardly ever does under load, as buffers die young.
 *
 * V8 also doubles the young generation whenever much survives, as while modules load, up to two
 * halves of 16 MB, and gives that back only when it collects everything: a quarter of an idle
 * daemon's memory. So what a daemon's start allocates does not make it grow; load may. Imported
 * first by the program; other programs are left alone.
 */

import { setFlagsFromString } from 'node:v8';

/** Five times what lives. */
export const CARRIER_FLAG = '--heap-growing-percent=400';
const CARRIERS: readonly string[] = ['daemon', 'bridge', 'cat', 'expose', 'forward', 'socks'];

const command = process.argv[2] ?? '';
const isDaemon = command === 'daemon';
if (CARRIERS.includes(command)) setFlagsFromString(CARRIER_FLAG);
if (isDaemon) setFlagsFromString('--semi-space-growth-factor=1');

/** V8's own way, from now on. */
export function letYoungHeapGrow(): void {
  if (isDaemon) setFlagsFromString('--semi-space-growth-factor=2');
}
