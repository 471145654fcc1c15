/** Light, dark, or as the system has it; and the colours of the style sheet for the map. */

import { by } from './dom.ts';
import type { Palette } from './map-draw.ts';

const CHOICES = ['auto', 'light', 'dark'] as const;
type Choice = (typeof CHOICES)[number];
const WORDS: Readonly<Record<Choice, string>> = { auto: 'Auto', light: 'Light', dark: 'Dark' };
const KEY = 'spines-colours';

export class Theme {
  readonly #onPalette: (palette: Palette) => void;
  #choice: Choice = 'auto';

  constructor(onPalette: (palette: Palette) => void) {
    this.#onPalette = onPalette;
  }

  start(): void {
    const kept = stored();
    this.#choice = CHOICES.find((one) => one === kept) ?? 'auto';
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#apply());
    this.#apply();
  }

  next(): void {
    this.#choice = CHOICES[(CHOICES.indexOf(this.#choice) + 1) % CHOICES.length]!;
    try {
      localStorage.setItem(KEY, this.#choice);
    } catch {
      // It is not kept, then.
    }
    this.#apply();
  }

  #apply(): void {
    const root = document.documentElement;
    if (this.#choice === 'auto') delete root.dataset['colours'];
    else root.dataset['colours'] = this.#choice;
    const button = by('theme');
    button.textContent = WORDS[this.#choice];
    button.setAttribute('aria-label', `${WORDS[this.#choice]} colours`);
    const style = getComputedStyle(root);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    this.#onPalette({
      ground: colour('surface'),
      ink: colour('ink'),
      quiet: colour('quiet'),
      accent: colour('accent'),
      second: colour('second'),
      node: colour('node'),
      link: {
        good: colour('good'),
        lossy: colour('lossy'),
        bad: colour('bad'),
        half: colour('quiet'),
        avoided: colour('avoided'),
        down: colour('bad'),
      },
    });
  }
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
