/**
 * Writes a log without ever waiting for it: neither a full disk nor a reader that stands still
 * holds, throws or ends anything.
 *
 * Owns one bounded buffer, at most one write under way, when to try again, what was lost, and the
 * last lines before the exit. Where the lines go is a LogTarget's. Used by the commands that run
 * on. Invariant: `write` returns at once and never throws.
 *
 *   idle --line--> writing --taken--> idle
 *                     |  not taken: the rest waits, tried again after RETRY_FIRST_MS,
 *                     |  then twice that, to RETRY_MOST_MS
 */

import type { LogFigures } from 'spines-client/protocol';

import { LogBuffer } from './log-buffer.ts';

export const STDERR_NAME = 'standard error';

/** Where lines go. */
export interface LogTarget {
  /** For people: "standard error", or the path of a file. */
  readonly name: string;
  /** Most bytes of one write. */
  readonly chunkBytes: number;
  /**
   * Takes what it can of `bytes` without blocking the thread; `done` may be called within. `fresh`:
   * they begin with a whole line. `error`: the code, such as 'ENOSPC', or 'EAGAIN' where it only is
   * full; null: `taken` bytes were written.
   */
  write(bytes: Buffer, fresh: boolean, done: (error: string | null, taken: number) => void): void;
  /**
   * As `write`, in a process that ends and while no write is under way; null where that could
   * block.
   */
  readonly writeLast: ((bytes: Buffer) => number) | null;
  /** A write that is under way would hold the end of the process for as long as nobody takes it. */
  readonly holdsExit: boolean;
  /** The file may be another one by now. */
  reopen(): void;
  close(): void;
}

const BUFFER_BYTES = 512 * 1024;
const RETRY_FIRST_MS = 50;
const RETRY_MOST_MS = 2_000;
/** Of what is only full, and may be read at any moment. */
const RETRY_FULL_MOST_MS = 250;
/** What the last lines get. */
export const FLUSH_MS = 200;
const FLUSH_STEP_MS = 10;

export class LogWriter {
  #target: LogTarget;
  /** The line that says that lines were lost. */
  readonly #tellLost: (count: number, why: string) => string;
  readonly #buffer: LogBuffer;
  #chunk: Buffer | null = null;
  #chunkAt = 0;
  #writing = false;
  /** Set by whoever has made it idle from within a write: the loop goes on. */
  #again = false;
  #failing: string | null = null;
  #lastFailure = 'EAGAIN';
  #retryMs = RETRY_FIRST_MS;
  #retry: NodeJS.Timeout | null = null;
  #lost = 0;
  #lostUntold = 0;

  constructor(
    target: LogTarget,
    tellLost: (count: number, why: string) => string,
    bufferBytes: number = BUFFER_BYTES,
  ) {
    this.#target = target;
    this.#tellLost = tellLost;
    this.#buffer = new LogBuffer(bufferBytes);
  }

  /** A line with its newline; `level` as in pino. */
  write(level: number, text: string): void {
    this.#lose(this.#buffer.push(level, text));
    // While it is not taken the timer looks again: otherwise each line would be a system call in
    // vain.
    if (this.#retry === null) this.#pump();
  }

  get figures(): LogFigures {
    return {
      target: this.#target.name,
      lost: this.#lost,
      failing: this.#failing,
      waitingBytes:
        this.#buffer.bytes / 2 + (this.#chunk === null ? 0 : this.#chunk.length - this.#chunkAt),
    };
  }

  /** From now on to `target`; the old one is closed when a write that is under way is done. */
  use(target: LogTarget): void {
    const old = this.#target;
    this.#target = target;
    this.#chunkAt = 0;
    this.#becomeReady();
    if (!this.#writing) old.close();
    this.#pump();
  }

  reopen(): void {
    this.#target.reopen();
    this.#becomeReady();
    this.#pump();
  }

  /** Resolves when all is written, or after FLUSH_MS. */
  async flush(): Promise<void> {
    const until = performance.now() + FLUSH_MS;
    while (!this.#idle && performance.now() < until) {
      this.#becomeReady();
      this.#pump();
      if (!this.#idle) await new Promise((resolve) => setTimeout(resolve, FLUSH_STEP_MS));
    }
  }

  /** In a process that ends now: as `flush`, without turns of the event loop. */
  flushNow(): void {
    const until = performance.now() + FLUSH_MS;
    const clock = new Int32Array(new SharedArrayBuffer(4));
    const { writeLast } = this.#target;
    this.#becomeReady();
    while (writeLast !== null && !this.#idle) {
      // What a write under way has of the chunk is its own.
      if (this.#writing || this.#chunk === null) this.#nextChunk();
      this.#writing = false;
      if (this.#chunk === null) break;
      try {
        this.#taken(writeLast(this.#chunk.subarray(this.#chunkAt)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') break;
        Atomics.wait(clock, 0, 0, FLUSH_STEP_MS);
      }
      if (performance.now() >= until) break;
    }
    if (this.#writing && this.#target.holdsExit) process.kill(process.pid, 'SIGKILL');
  }

  get #idle(): boolean {
    return !this.#writing && this.#chunk === null && this.#buffer.empty;
  }

  #pump(): void {
    if (this.#writing) return;
    do {
      this.#again = false;
      if (this.#chunk === null) this.#nextChunk();
      if (this.#chunk === null) return;
      const target = this.#target;
      this.#writing = true;
      let within = true;
      target.write(this.#chunk.subarray(this.#chunkAt), this.#chunkAt === 0, (error, taken) => {
        this.#writing = false;
        if (target !== this.#target) target.close();
        else if (error === null) this.#taken(taken);
        else this.#refused(error);
        this.#again = this.#retry === null;
        if (!within && this.#again) this.#pump();
      });
      within = false;
    } while (this.#again && !this.#writing);
  }

  #nextChunk(): void {
    this.#chunk = null;
    this.#chunkAt = 0;
    const told = this.#lostUntold === 0 ? '' : this.#tellLost(this.#lostUntold, this.#lastFailure);
    const text =
      told + this.#buffer.take(Math.max(1, this.#target.chunkBytes - Buffer.byteLength(told)));
    if (text === '') return;
    this.#lostUntold = 0;
    this.#chunk = Buffer.from(text);
  }

  #taken(bytes: number): void {
    this.#chunkAt += bytes;
    this.#failing = null;
    this.#retryMs = RETRY_FIRST_MS;
    if (this.#chunk !== null && this.#chunkAt >= this.#chunk.length) this.#chunk = null;
  }

  #refused(code: string): void {
    this.#failing = code;
    this.#lastFailure = code;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#pump();
    }, this.#retryMs);
    this.#retry.unref();
    this.#retryMs = Math.min(
      code === 'EAGAIN' ? RETRY_FULL_MOST_MS : RETRY_MOST_MS,
      2 * this.#retryMs,
    );
  }

  #becomeReady(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
  }

  #lose(lines: number): void {
    this.#lost += lines;
    this.#lostUntold += lines;
  }
}

/** What an error code of `write` means, for people. */
export function describeLogFailure(code: string): string {
  switch (code) {
    case 'EAGAIN':
      return 'nobody reads it';
    case 'EPIPE':
    case 'ENXIO':
      return 'its reader is gone';
    case 'ENOSPC':
    case 'EDQUOT':
      return `no space is left, ${code}`;
    default:
      return code;
  }
}
