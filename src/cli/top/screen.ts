/**
 * A terminal as a screen: entered, drawn on without flicker, and left as it was however the program
 * ends.
 *
 * Owns escape sequences, keys and sizes; what is drawn is view.ts's. Only lines that changed are
 * written, and between two marks that let a terminal show them at once. Invariant: whoever ends
 * this process, but for SIGKILL, leaves the terminal with its cursor, its lines and its echo.
 */

import { widthOf } from '../terminal/columns.ts';

const ESC = '\x1b';
/** The other screen, without a cursor and without wrapping; and back. */
const ENTER = `${ESC}[?1049h${ESC}[?25l${ESC}[?7l`,
  LEAVE = `${ESC}[?7h${ESC}[?25h${ESC}[?1049l`;
/** Marks of what is to be shown at once, where a terminal knows them. */
const BEGIN = `${ESC}[?2026h`,
  END = `${ESC}[?2026l`;
const CLEAR = `${ESC}[2J`;

export interface ScreenEvents {
  /** A key, by name where it has one: 'q', 'up', 'pagedown', 'ctrl-c' ... */
  onKey(key: string): void;
  /** It has another size, or is shown again. */
  onResize(): void;
}

/** What of a terminal is needed. */
export interface TerminalOut {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}
export interface TerminalIn {
  setRawMode?(raw: boolean): unknown;
  resume(): unknown;
  pause(): unknown;
  on(event: 'data', listener: (bytes: Buffer) => void): unknown;
  off(event: 'data', listener: (bytes: Buffer) => void): unknown;
}

const KEYS: Readonly<Record<string, string>> = {
  '\x03': 'ctrl-c',
  '\x04': 'ctrl-d',
  '\x0c': 'ctrl-l',
  '\x1a': 'ctrl-z',
  '\x1b': 'escape',
  '\x1b[A': 'up',
  '\x1b[B': 'down',
  '\x1bOA': 'up',
  '\x1bOB': 'down',
  '\x1b[5~': 'pageup',
  '\x1b[6~': 'pagedown',
  '\x1b[H': 'home',
  '\x1b[F': 'end',
};

export class Screen {
  readonly #out: TerminalOut;
  readonly #in: TerminalIn;
  readonly #events: ScreenEvents;
  /** What stands there now. */
  #shown: string[] = [];
  #entered = false;
  readonly #onData = (bytes: Buffer): void => {
    for (const key of keysOf(String(bytes))) this.#events.onKey(key);
  };
  readonly #onResize = (): void => {
    this.forget();
    this.#events.onResize();
  };
  readonly #onExit = (): void => this.leave();

  constructor(out: TerminalOut, input: TerminalIn, events: ScreenEvents) {
    this.#out = out;
    this.#in = input;
    this.#events = events;
  }

  get columns(): number {
    return Math.max(20, this.#out.columns ?? 80);
  }

  get rows(): number {
    return Math.max(4, this.#out.rows ?? 24);
  }

  enter(): void {
    if (this.#entered) return;
    this.#entered = true;
    process.on('exit', this.#onExit);
    this.#in.setRawMode?.(true);
    this.#in.on('data', this.#onData);
    this.#in.resume();
    this.#out.on('resize', this.#onResize);
    this.#out.write(ENTER + CLEAR);
    this.forget();
  }

  /** As it was before. May be called again. */
  leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    process.off('exit', this.#onExit);
    this.#out.off('resize', this.#onResize);
    this.#in.off('data', this.#onData);
    this.#in.setRawMode?.(false);
    this.#in.pause();
    this.#out.write(LEAVE);
  }

  /** All is drawn anew the next time: somebody else may have written there. */
  forget(): void {
    this.#shown = [];
  }

  /** `lines`: at most `rows` of them, none wider than `columns`. */
  draw(lines: readonly string[]): void {
    if (!this.#entered) return;
    let text = this.#shown.length === 0 ? CLEAR : '';
    for (let row = 0; row < this.rows; row += 1) {
      const line = lines[row] ?? '';
      if (line === (this.#shown[row] ?? '')) continue;
      // In the last column the cursor stays where it is: what clears the rest would clear that.
      const rest = widthOf(line) < this.columns ? `${ESC}[K` : '';
      text += `${ESC}[${row + 1};1H${line}${rest}`;
    }
    this.#shown = Array.from({ length: this.rows }, (_, row) => lines[row] ?? '');
    if (text !== '') this.#out.write(BEGIN + text + END);
  }
}

/** Several may come at once; a sequence that is not known is left out. */
function keysOf(text: string): string[] {
  const found: string[] = [];
  for (const [key] of text.matchAll(/\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])?|[^\x1b]/gu)) {
    const name = KEYS[key];
    if (name !== undefined) found.push(name);
    else if (!key.startsWith(ESC)) found.push(key);
  }
  return found;
}
