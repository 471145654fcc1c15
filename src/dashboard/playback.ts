/** The timeline of a replay: its moments as marks, and the moment that is shown. */

import { by } from './dom.ts';
import type { Moment } from './replay.ts';

const STEPS = 1_000;

export class PlayBack {
  readonly #play = by<HTMLButtonElement>('play');
  readonly #range = by<HTMLInputElement>('moment');
  readonly #text = by('moment-text');
  readonly #marks = by('marks');
  readonly #speed = by<HTMLSelectElement>('speed');
  readonly #onMoment: (ms: number) => void;
  #durationMs = 1;
  #at = 0;
  #frame = 0;

  constructor(onMoment: (ms: number) => void) {
    this.#onMoment = onMoment;
    this.#range.addEventListener('input', () => {
      this.#to((Number(this.#range.value) / STEPS) * this.#durationMs);
    });
    this.#play.addEventListener('click', () => {
      if (this.#frame !== 0) this.stop();
      else this.#start();
    });
  }

  show(durationMs: number, moments: readonly Moment[]): void {
    this.stop();
    this.#durationMs = Math.max(1, durationMs);
    this.#marks.replaceChildren(
      ...moments.map(({ atMs, what, tone, settledAfterMs }) => {
        const mark = document.createElement('i');
        mark.className = `tone-${tone}`;
        mark.title = what;
        mark.style.left = `${(100 * atMs) / this.#durationMs}%`;
        // Half a percent at least, so that it can be seen.
        const wide = Math.max(0.5, (100 * (settledAfterMs ?? 0)) / this.#durationMs);
        mark.style.width = `${wide}%`;
        return mark;
      }),
    );
    this.#to(0);
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#play.textContent = 'Play';
  }

  #start(): void {
    if (this.#at >= this.#durationMs) this.#to(0);
    this.#play.textContent = 'Pause';
    let before = performance.now();
    const step = (now: number): void => {
      const passed = (now - before) * Number(this.#speed.value);
      before = now;
      this.#to(Math.min(this.#durationMs, this.#at + passed));
      if (this.#at >= this.#durationMs) this.stop();
      else this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  #to(ms: number): void {
    this.#at = ms;
    this.#range.value = String(Math.round((ms / this.#durationMs) * STEPS));
    const text = `${(ms / 1_000).toFixed(1)} of ${Math.round(this.#durationMs / 1_000)} s`;
    this.#text.textContent = text;
    this.#range.setAttribute('aria-valuetext', text);
    this.#onMoment(ms);
  }
}
