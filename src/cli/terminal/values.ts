/**
 * Values of flags and arguments: text to numbers, each refusal naming what would be accepted.
 *
 * Owns the grammar of command-line values on top of text/units.ts. Called by commander as argument
 * parsers: a refusal is an InvalidArgumentError, which ends as exit code 2.
 */

import { InvalidArgumentError } from 'commander';
import { LIVENESS_MS_MAX, SILENCE_MS_MIN } from 'spines-client/protocol';
import { PORT_MAX } from '../../core/base/ids.ts';
import { MILLISECOND, SECOND, type Micros } from '../../core/base/time.ts';
import { MTU_MAX, MTU_MIN } from '../../core/emulation/link-settings.ts';
import { parseDuration, parsePercent, parseRate, parseSize } from '../../text/units.ts';
import { parseTarget, type Target } from '../../host/tunnel-target.ts';

/** "500ms", "2s", "1.5m"; a bare number counts seconds, as in ping. Microseconds, above 0. */
export function durationArg(text: string): Micros {
  const us = parseDuration(text, SECOND);
  if (us === null || us <= 0)
    throw new InvalidArgumentError(
      'write a duration above zero such as 500ms, 2s or 1m (a bare number counts seconds).',
    );
  return us;
}

/** How long a far end may be silent. Milliseconds. */
export function silenceMsArg(text: string): number {
  const ms = Math.round((parseDuration(text, SECOND) ?? 0) / MILLISECOND);
  if (ms < SILENCE_MS_MIN || ms > LIVENESS_MS_MAX)
    throw new InvalidArgumentError(
      'write a duration from 1s to 24h, such as 5s or 2m (a bare number counts seconds).',
    );
  return ms;
}

/** Emulated delay: a bare number counts milliseconds. Returns milliseconds, 0 allowed. */
export function delayMsArg(text: string): number {
  const us = parseDuration(text, MILLISECOND);
  if (us === null)
    throw new InvalidArgumentError(
      'write a delay such as 10ms or 250us (a bare number counts milliseconds).',
    );
  return us / MILLISECOND;
}

/** kbit/s, above 0. */
export function rateArg(text: string): number {
  const kbps = parseRate(text);
  if (kbps === null || kbps <= 0)
    throw new InvalidArgumentError('write a bit rate with its unit, such as 40mbit or 500kbit.');
  return kbps;
}

/** kbit/s, or null for "unlimited". */
export function bandwidthArg(text: string): number | null {
  if (text === 'unlimited' || text === 'none') return null;
  const kbps = parseRate(text);
  if (kbps === null || kbps < 1)
    throw new InvalidArgumentError(
      'write a bit rate with its unit, such as 10mbit, or "unlimited".',
    );
  return Math.round(kbps);
}

/** Bytes of an IP packet, or null for "unlimited". */
export function mtuArg(text: string): number | null {
  return text === 'unlimited' || text === 'none' ? null : sizeArg(MTU_MIN, MTU_MAX)(text);
}

/** 0..100. */
export function percentArg(text: string): number {
  const percent = parsePercent(text);
  if (percent === null)
    throw new InvalidArgumentError('write a percentage from 0 to 100, such as 1% or 0.5.');
  return percent;
}

/** A parser of whole numbers in min..max. */
export function integerArg(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`write a whole number from ${min} to ${max}.`);
    return value;
  };
}

/** A parser of byte counts ("1384", "64KiB") in min..max. */
export function sizeArg(min: number, max: number): (text: string) => number {
  return (text) => {
    const bytes = parseSize(text);
    if (bytes === null || bytes < min || bytes > max)
      throw new InvalidArgumentError(`write a number of bytes from ${min} to ${max}.`);
    return bytes;
  };
}

/** A virtual port, 1..65535. */
export const portArg = integerArg(1, PORT_MAX);

/** "host:port" or "[ipv6]:port"; the host may be a name. */
export function hostPortArg(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port >= 1 && port <= PORT_MAX))
    throw new InvalidArgumentError('write HOST:PORT, for example 127.0.0.1:8101 or [::1]:8101.');
  return { host, port };
}

/** "PORT" or "BIND:PORT" of a local TCP listener; default 127.0.0.1. Port 0: any that is free. */
export function listenArg(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9A-Fa-f:.]+)\]|([^:\s[\]]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > PORT_MAX)
    throw new InvalidArgumentError(
      'write PORT or BIND:PORT, for example 8080, 127.0.0.1:8080 or [::1]:8080.',
    );
  return { host: match[1] ?? match[2] ?? '127.0.0.1', port };
}

/** A TCP target, in canonical form. */
export function targetArg(text: string): Target {
  const target = parseTarget(text);
  if (target === null)
    throw new InvalidArgumentError(
      'write HOST:PORT, for example 127.0.0.1:80, www.example.org:443 or [::1]:80.',
    );
  return target;
}

/** For repeatable flags. */
export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}
