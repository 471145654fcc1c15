/**
 * Log lines that wait to be written: bounded by bytes, in order, and the least severe are the first
 * to go.
 *
 * A queue for each class of severity; lines carry the number of their place, so that taking the
 * oldest of all and dropping the oldest of a class are both at the front of a queue. Pure: knows of
 * no file and no clock. Called by log-writer.ts.
 */

/** Levels are pino's. Classes, the first to go first: up to info, warn, error and above. */
const WARN = 40,
  ERROR = 50;

interface Line {
  readonly place: number;
  readonly text: string;
}

/** First in, first out; what was taken is cut off now and then instead of each time. */
class Queue {
  #lines: Line[] = [];
  #head = 0;

  push(line: Line): void {
    this.#lines.push(line);
  }

  peek(): Line | undefined {
    return this.#lines[this.#head];
  }

  shift(): Line | undefined {
    const line = this.#lines[this.#head];
    if (line === undefined) return undefined;
    this.#head += 1;
    if (this.#head > 64 && this.#head * 2 > this.#lines.length) {
      this.#lines = this.#lines.slice(this.#head);
      this.#head = 0;
    }
    return line;
  }
}

export class LogBuffer {
  readonly limitBytes: number;
  readonly #classes = [new Queue(), new Queue(), new Queue()] as const;
  #places = 0;
  #bytes = 0;

  /**
   * `limitBytes`: most that is ever held, as UTF-16 code units times two; a line of more than a
   * quarter of it is not held at all.
   */
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#bytes === 0;
  }

  /**
   * Takes a line of `level` (pino's numbers). Returns how many lines are lost by that, this one or
   * older ones.
   */
  push(level: number, text: string): number {
    const size = sizeOf(text);
    if (size > this.limitBytes / 4) return 1;
    const severity = level < WARN ? 0 : level < ERROR ? 1 : 2;
    let lost = 0;
    while (this.#bytes + size > this.limitBytes) {
      // Nothing that is more severe gives way to it.
      const victims = this.#classes.findIndex(
        (queue, i) => i <= severity && queue.peek() !== undefined,
      );
      if (victims < 0) return lost + 1;
      this.#bytes -= sizeOf(this.#classes[victims]!.shift()!.text);
      lost += 1;
    }
    this.#classes[severity].push({ place: this.#places, text });
    this.#places += 1;
    this.#bytes += size;
    return lost;
  }

  /**
   * The oldest lines, whole, in order: at least one if there is one, further ones while they fit
   * `mostBytes`. '' when empty.
   */
  take(mostBytes: number): string {
    let out = '';
    for (;;) {
      let oldest: Queue | null = null;
      for (const queue of this.#classes) {
        const line = queue.peek();
        if (line !== undefined && (oldest === null || line.place < oldest.peek()!.place))
          oldest = queue;
      }
      const line = oldest?.peek();
      if (
        line === undefined ||
        (out !== '' && Buffer.byteLength(out) + Buffer.byteLength(line.text) > mostBytes)
      )
        return out;
      oldest!.shift();
      this.#bytes -= sizeOf(line.text);
      out += line.text;
    }
  }
}

/** What it takes in memory at most. */
function sizeOf(text: string): number {
  return 2 * text.length;
}
