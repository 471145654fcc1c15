/**
 * What the pictures share: colours, round axis steps, coordinates and text made safe for XML.
 *
 * Used by delay-plot.ts and line-plot.ts. Invariant: pure functions of their arguments.
 */

/**
 * Distinct to most colour-blind readers (Okabe and Ito), without the yellow that vanishes on white.
 */
export const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#333333'];
export const DASHES = ['', '7 3', '2 3', '9 3 2 3'];

/** The least of 1, 2, 5 times a power of ten that is not below `least`, from 0.001 up. */
export function roundStep(least: number): number {
  for (let power = 1; ; power *= 10) {
    for (const digit of [1, 2, 5]) {
      // Thousandths as integers: 0.1 + 0.2 has no place on an axis.
      const step = (digit * power) / 1_000;
      if (step >= least || power > 1e12) return step;
    }
  }
}

export function px(value: number): string {
  return String(Math.round(value * 100) / 100);
}

export function escapeXml(text: string): string {
  // Control characters: XML 1.0 cannot hold them, escaped or not.
  return text
    .replace(/[\u0000-\u001f]/g, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
