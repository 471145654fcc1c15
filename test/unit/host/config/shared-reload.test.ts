/**
 * Reloads that come in a storm are one, and each who asked is answered by what was read afterwards.
 */

import { describe, expect, test } from 'vitest';

import { SpinesError } from '../../../../src/core/base/errors.ts';
import {
  RELOAD_PAUSE_MAX_MS,
  RELOAD_PAUSE_MS,
  RELOAD_WAITING_MAX,
  SharedReload,
} from '../../../../src/host/config/shared-reload.ts';

/** Files that change at each reading, which takes `tookMs`. */
class Files {
  now = 1_000;
  tookMs = 10;
  reads = 0;
  fault: Error | null = null;
  due: { at: number; action: () => void } | null = null;
  readonly shared = new SharedReload({
    now: () => this.now,
    after: (ms, action) => {
      this.due = { at: this.now + ms, action };
      return () => {
        this.due = null;
      };
    },
    read: () => {
      this.now += this.tookMs;
      this.reads += 1;
      if (this.fault !== null) throw this.fault;
      return [`reading ${this.reads}`];
    },
  });

  ask(): string[] {
    const answers: string[] = [];
    this.shared.ask((result) =>
      answers.push(result instanceof SpinesError ? result.code : result.changes.join()),
    );
    return answers;
  }

  runUntil(at: number): void {
    while (this.due !== null && this.due.at <= at) {
      const { at: then, action } = this.due;
      this.due = null;
      this.now = Math.max(this.now, then);
      action();
    }
    this.now = Math.max(this.now, at);
  }
}

describe('a reload', () => {
  test('that comes alone is done at once, also after another', () => {
    const files = new Files();
    expect(files.ask()).toEqual(['reading 1']);
    files.runUntil(files.now + RELOAD_PAUSE_MS);
    expect(files.ask()).toEqual(['reading 2']);
  });

  test(
    'that comes with hundreds of others is done once more for all of them, ' +
      'after the last of them asked',
    () => {
      const files = new Files();
      const first = files.ask();
      const others = Array.from({ length: 300 }, () => files.ask());
      expect([first, files.reads]).toEqual([['reading 1'], 1]);
      files.runUntil(files.now + RELOAD_PAUSE_MS);
      expect(new Set(others.map((answers) => answers.join()))).toEqual(new Set(['reading 2']));
      expect(files.reads).toBe(2);
    },
  );

  test.each([1, 10, 100, 400, 5_000])(
    'that takes %i ms takes at most a tenth of the time, ' +
      'or as little as a pause of ten seconds leaves it',
    (tookMs) => {
      const files = new Files();
      files.tookMs = tookMs;
      const end = files.now + 100_000;
      for (let at = files.now; at < end; at += 5) {
        files.ask();
        files.runUntil(at);
      }
      const least = Math.max(RELOAD_PAUSE_MS, Math.min(RELOAD_PAUSE_MAX_MS, 9 * tookMs)) + tookMs;
      expect(files.reads).toBeLessThanOrEqual(Math.ceil((files.now - 1_000) / least) + 1);
      expect(files.reads).toBeGreaterThanOrEqual(Math.floor(100_000 / least) - 1);
    },
  );

  test('that is refused says so to all who asked, and the next one is read', () => {
    const files = new Files();
    files.fault = new SpinesError('ECONFIG', 'no');
    expect(files.ask()).toEqual(['ECONFIG']);
    const late = files.ask();
    files.runUntil(files.now + 1_000);
    expect(late).toEqual(['ECONFIG']);
    files.fault = null;
    expect(files.ask()).toEqual(['reading 3']);
  });

  test('is refused where a thousand wait, and those are answered when the daemon ends', () => {
    const files = new Files();
    files.ask();
    const waiting = Array.from({ length: RELOAD_WAITING_MAX }, () => files.ask());
    expect(files.ask()).toEqual(['EAGAIN']);
    files.shared.end();
    expect(waiting.every((answers) => answers.join() === 'EDAEMON')).toBe(true);
    expect([files.due, files.reads]).toEqual([null, 1]);
  });
});
