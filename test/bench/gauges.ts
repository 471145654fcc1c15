/**
 * What a process allocates, how long its collector works and how late its loop is, between `start`
 * and `stop`.
 *
 * Allocated is what the heap holds more at the end, and what the collections in between have freed
 * (v8.GCProfiler). Memory outside the heap (the bytes of Buffers) is given back by a thread some
 * time after a collection, so its growth is added up from one look a millisecond: a lower bound,
 * and near. What the looks themselves allocate is taken off; they cost a little, so no CPU time is
 * taken meanwhile.
 */

import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import { GCProfiler, getHeapStatistics } from 'node:v8';
import { cpuUs } from './processes.js';

export interface GaugeFigures {
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly collections: number;
  readonly gcMs: number;
  readonly seconds: number;
  /** Milliseconds that the loop was late. */
  readonly lagP50: number;
  readonly lagP99: number;
  readonly lagMax: number;
}

const RESOLUTION_MS = 2,
  LOOK_MS = 1;
const TRIAL_LOOKS = 500;

/** Heap bytes of one look, found by looking often. */
function bytesOfLook(): number {
  const before = getHeapStatistics().used_heap_size;
  for (let i = 1; i < TRIAL_LOOKS; i += 1) getHeapStatistics();
  return Math.max(0, getHeapStatistics().used_heap_size - before) / TRIAL_LOOKS;
}

export class Gauges {
  readonly #profiler = new GCProfiler();
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #began = performance.now();
  readonly #look: NodeJS.Timeout;
  readonly #heapBefore: number;
  #external: number;
  #externalBytes = 0;
  #looks = 0;
  readonly #lookBytes = bytesOfLook();

  constructor() {
    this.#delay.enable();
    this.#profiler.start();
    const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
    this.#heapBefore = heap;
    this.#external = external;
    this.#look = setInterval(() => this.#addExternal(getHeapStatistics().external_memory), LOOK_MS);
  }

  #addExternal(now: number): void {
    this.#looks += 1;
    this.#externalBytes += Math.max(0, now - this.#external);
    this.#external = now;
  }

  stop(): GaugeFigures {
    clearInterval(this.#look);
    const { used_heap_size: heapAfter, external_memory: externalAfter } = getHeapStatistics();
    this.#addExternal(externalAfter);
    const { statistics } = this.#profiler.stop();
    this.#delay.disable();
    let heap = this.#heapBefore,
      heapBytes = 0,
      gcUs = 0;
    for (const { cost, beforeGC, afterGC } of statistics) {
      heapBytes += Math.max(0, beforeGC.heapStatistics.usedHeapSize - heap);
      heap = afterGC.heapStatistics.usedHeapSize;
      gcUs += cost;
    }
    const late = (ns: number): number => Math.max(0, ns / 1e6 - RESOLUTION_MS);
    return {
      heapBytes: Math.max(
        0,
        heapBytes + Math.max(0, heapAfter - heap) - this.#looks * this.#lookBytes,
      ),
      externalBytes: this.#externalBytes,
      collections: statistics.length,
      gcMs: gcUs / 1_000,
      seconds: (performance.now() - this.#began) / 1_000,
      lagP50: late(this.#delay.percentile(50)),
      lagP99: late(this.#delay.percentile(99)),
      lagMax: late(this.#delay.max),
    };
  }
}

export type ProbeOrder = { readonly kind: 'cpu' | 'watch' | 'watched' };

let gauges: Gauges | null = null;

/** Answers what any process of the bench is asked; null: not one of these. */
export function answerProbe({ kind }: { readonly kind: string }): object | null {
  if (kind === 'cpu') return { cpuUs: cpuUs() };
  if (kind === 'watch') {
    gauges = new Gauges();
    return {};
  }
  if (kind !== 'watched' || gauges === null) return null;
  const figures = gauges.stop();
  gauges = null;
  return figures;
}
