/** Figures as the page writes them: short, with their unit, and with one dash for nothing. */

export const NOTHING = '–';

/**
 * Names in the order that people expect: n2 before n10. One collator for all: to make one is slow.
 */
const NAMES = new Intl.Collator('en', { numeric: true });
export const byName = (a: string, b: string): number => NAMES.compare(a, b);

export function msText(value: number | null | undefined): string {
  if (value == null) return NOTHING;
  return value >= 100 ? `${Math.round(value)} ms` : `${Math.round(value * 10) / 10} ms`;
}

export function percentText(value: number | null | undefined): string {
  if (value == null) return NOTHING;
  return `${value >= 10 ? Math.round(value) : Math.round(value * 10) / 10} %`;
}

/** Bits a second. */
export function rateText(bps: number | null | undefined): string {
  if (bps == null) return NOTHING;
  if (bps >= 1e9) return `${(bps / 1e9).toFixed(2)} Gbit/s`;
  if (bps >= 1e6) return `${(bps / 1e6).toFixed(bps >= 1e7 ? 0 : 1)} Mbit/s`;
  return `${(bps / 1e3).toFixed(bps >= 1e4 ? 0 : 1)} kbit/s`;
}

export function countText(value: number): string {
  return Math.round(value).toLocaleString('en').replaceAll(',', '\u2009');
}

export function bytesText(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} GB`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} MB`;
  return value >= 1e3 ? `${(value / 1e3).toFixed(1)} kB` : `${value} B`;
}

export function agoText(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return s < 86_400
    ? `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`
    : `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`;
}

/** By the reader's clock: 15:31:02.1. */
export function clockText(at: number): string {
  const time = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.` +
    `${Math.floor(time.getMilliseconds() / 100)}`
  );
}
