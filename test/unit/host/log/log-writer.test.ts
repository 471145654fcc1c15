/**
 * The log's buffer and writer: what is kept, what is lost and told, and that nothing is waited for.
 */

import { mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';

import { LogBuffer } from '../../../../src/host/log/log-buffer.ts';
import { logFileTarget } from '../../../../src/host/log/log-file.ts';
import { LogWriter, type LogTarget } from '../../../../src/host/log/log-writer.ts';

const INFO = 30,
  WARN = 40,
  ERROR = 50;

describe('the buffer', () => {
  test('gives lines back in order, whole, and as many as fit', () => {
    const buffer = new LogBuffer(1_000);
    for (const [level, text] of [
      [INFO, 'a\n'],
      [ERROR, 'bb\n'],
      [WARN, 'ccc\n'],
      [INFO, 'd\n'],
    ] as const)
      expect(buffer.push(level, text)).toBe(0);
    expect(buffer.take(5)).toBe('a\nbb\n');
    expect(buffer.take(1)).toBe('ccc\n');
    expect(buffer.take(100)).toBe('d\n');
    expect(buffer.take(100)).toBe('');
    expect(buffer.empty).toBe(true);
  });

  test(
    'is bounded: the oldest of the least severe lines go first, ' +
      'and no line for a less severe one',
    () => {
      const buffer = new LogBuffer(100);
      for (let i = 0; i < 5; i += 1)
        expect(buffer.push(i % 2 === 0 ? INFO : ERROR, `line ${i} .\n`)).toBe(0);
      expect(buffer.push(WARN, 'warn  ..\n'), 'line 0').toBe(1);
      expect(buffer.push(ERROR, 'error ..\n'), 'line 2').toBe(1);
      expect(buffer.push(ERROR, 'error ..\n'), 'line 4').toBe(1);
      expect(buffer.push(ERROR, 'error ..\n'), 'the warning').toBe(1);
      expect(buffer.push(INFO, 'info  ..\n'), 'itself').toBe(1);
      expect(buffer.push(ERROR, 'x'.repeat(26)), 'larger than a quarter').toBe(1);
      expect(buffer.take(1_000)).toBe('line 1 .\nline 3 .\nerror ..\nerror ..\nerror ..\n');
      expect(buffer.bytes).toBe(0);
    },
  );

  test('with a million lines it holds no more than its bound, and counts the rest', () => {
    const buffer = new LogBuffer(10_000);
    let lost = 0;
    for (let i = 0; i < 1_000_000; i += 1) {
      lost += buffer.push([INFO, WARN, ERROR][i % 3]!, `${i}\n`);
      if (buffer.bytes > 10_000) throw new Error(`holds ${buffer.bytes}`);
    }
    const kept = buffer.take(1_000_000).split('\n').length - 1;
    expect(kept + lost).toBe(1_000_000);
    expect(kept).toBeGreaterThan(500);
  });
});

/** Takes up to `room` bytes, then says `code`. */
class Fake implements LogTarget {
  readonly name = 'fake';
  readonly chunkBytes = 64;
  readonly holdsExit = false;
  text = '';
  room = Infinity;
  code = 'ENOSPC';
  closed = 0;
  writes = 0;
  readonly writeLast = (bytes: Buffer): number => {
    if (this.room <= 0) throw Object.assign(new Error(this.code), { code: this.code });
    const part = bytes.subarray(0, this.room);
    this.text += part.toString();
    this.room -= part.length;
    return part.length;
  };
  write(bytes: Buffer, _fresh: boolean, done: (error: string | null, taken: number) => void): void {
    this.writes += 1;
    try {
      done(null, this.writeLast(bytes));
    } catch {
      done(this.code, 0);
    }
  }
  reopen(): void {}
  close(): void {
    this.closed += 1;
  }
}

const told = (count: number, why: string): string => `lost ${count}: ${why}\n`;

describe('the writer', () => {
  test('writes at once while it can, and says nothing of losses', () => {
    const target = new Fake();
    const writer = new LogWriter(target, told);
    for (let i = 0; i < 100; i += 1) writer.write(INFO, `line ${i}\n`);
    expect(target.text.split('\n')).toHaveLength(101);
    expect(writer.figures).toEqual({ target: 'fake', lost: 0, waitingBytes: 0, failing: null });
  });

  test(
    'a full disk: lines wait, the oldest info goes, ' +
      'and what was lost is told once it is free, between whole lines',
    () => {
      vi.useFakeTimers();
      try {
        const target = new Fake();
        const writer = new LogWriter(target, told, 400);
        target.room = 12;
        writer.write(INFO, 'begin 1\n');
        writer.write(INFO, 'begin 2\n');
        for (let i = 0; i < 100; i += 1)
          writer.write(i === 50 ? ERROR : INFO, `line ${String(i).padStart(3)}\n`);
        expect(writer.figures).toMatchObject({ failing: 'ENOSPC' });
        expect(writer.figures.waitingBytes).toBeLessThan(400);
        const { lost } = writer.figures;
        vi.advanceTimersByTime(100_000);
        expect(target.writes, 'not one attempt for each line').toBeLessThan(70);
        target.room = Infinity;
        vi.advanceTimersByTime(2_000);
        const lines = target.text.split('\n');
        expect(lines.slice(0, 3)).toEqual(['begin 1', 'begin 2', `lost ${lost}: ENOSPC`]);
        expect(lines).toContain('line  50');
        expect(lines.at(-2)).toBe('line  99');
        expect(lines.length - 1 - 3 + lost).toBe(100);
        expect(writer.figures).toEqual({ target: 'fake', lost, waitingBytes: 0, failing: null });
      } finally {
        vi.useRealTimers();
      }
    },
  );

  test('the last lines get 200 ms, with turns of the event loop and without', async () => {
    const target = new Fake();
    target.room = 0;
    target.code = 'EAGAIN';
    const writer = new LogWriter(target, told);
    writer.write(INFO, 'last words\n');
    for (const end of [() => writer.flush(), () => writer.flushNow()]) {
      const startMs = performance.now();
      await end();
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(190);
    }
    target.room = Infinity;
    writer.flushNow();
    expect(target.text).toBe('last words\n');
  });

  test(
    'another target gets what the old one did not take whole, ' + 'once a write under way is done',
    () => {
      const old = new Fake();
      let finish = (): void => {};
      old.write = (_bytes, _fresh, done) => {
        finish = () => done(null, 3);
      };
      const writer = new LogWriter(old, told);
      writer.write(INFO, 'one line\n');
      const next = new Fake();
      writer.use(next);
      expect(old.closed).toBe(0);
      finish();
      writer.write(INFO, 'two\n');
      expect([old.closed, next.text]).toEqual([1, 'one line\ntwo\n']);
    },
  );
});

describe('a log file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spines-log-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('is put away by size, at a line, and the oldest goes', async () => {
    const path = join(folder, 'daemon.log');
    writeFileSync(path, 'of an earlier run\n');
    const writer = new LogWriter(logFileTarget({ path, maxBytes: 1_000, keep: 2 }), told);
    for (let i = 0; i < 60; i += 1) {
      writer.write(INFO, `${String(i).padStart(99)}\n`);
      await writer.flush();
    }
    expect(readdirSync(folder).sort()).toEqual(['daemon.log', 'daemon.log.1', 'daemon.log.2']);
    const text = ['.2', '.1', ''].map((end) => readFileSync(path + end, 'utf8'));
    for (const part of text) expect(part.length).toBeLessThanOrEqual(1_000);
    const numbers = text.join('').trim().split('\n').map(Number);
    expect(numbers.at(-1)).toBe(59);
    numbers.forEach((number, i) => expect(number).toBe(numbers[0]! + i));
    expect(numbers.length).toBeGreaterThan(20);
  });

  test('is opened again when another program has put it away', async () => {
    const path = join(folder, 'rotated.log');
    const writer = new LogWriter(logFileTarget({ path, maxBytes: 1_000, keep: 2 }), told);
    writer.write(INFO, 'before\n');
    await writer.flush();
    renameSync(path, `${path}.old`);
    writer.reopen();
    writer.write(INFO, 'after\n');
    await writer.flush();
    expect([readFileSync(`${path}.old`, 'utf8'), readFileSync(path, 'utf8')]).toEqual([
      'before\n',
      'after\n',
    ]);
  });

  test('that cannot be put away goes on', async () => {
    const path = join(folder, 'kept.log');
    const writer = new LogWriter(logFileTarget({ path, maxBytes: 100, keep: 1 }), told);
    writer.write(INFO, 'x'.repeat(90) + '\n');
    await writer.flush();
    // A folder in the way of the older copy.
    const { mkdirSync } = await import('node:fs');
    mkdirSync(join(`${path}.1`, 'full'), { recursive: true });
    for (let i = 0; i < 3; i += 1) {
      writer.write(INFO, 'y'.repeat(90) + '\n');
      await writer.flush();
    }
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(5);
    expect(writer.figures).toMatchObject({ lost: 0, failing: null });
  });

  test("that cannot be opened is the operator's to mend", () => {
    expect(() =>
      logFileTarget({ path: join(folder, 'no', 'such.log'), maxBytes: 1, keep: 0 }),
    ).toThrow(/log\.file .*such\.log cannot be opened \(ENOENT\); make its folder/);
    expect(() => logFileTarget({ path: folder, maxBytes: 1, keep: 0 })).toThrow(
      /\(EISDIR\); name another file/,
    );
  });
});
