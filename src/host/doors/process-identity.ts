/**
 * Which process this is, for programs that may be in a container of their own, where numbers of
 * processes mean others.
 */

import { readlinkSync } from 'node:fs';

/**
 * `namespace`: the same text for all who mean the same by `pid`; '' where there is one meaning
 * only.
 */
export function processIdentity(): { readonly pid: number; readonly namespace: string } {
  let namespace = '';
  try {
    namespace = readlinkSync('/proc/self/ns/pid');
  } catch {
    // No such thing here.
  }
  return { pid: process.pid, namespace };
}
