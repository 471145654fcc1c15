/** How requests of EchoService travel where a test does not care. */

import type { EchoModes } from '../../src/core/session/echo-service.ts';

/** By link state and best effort, with that ttl, and so many bytes. */
export function echoBy(ttl = 64, payloadBytes = 0): EchoModes {
  return { service: 0, dissemination: 0, ttl, payloadBytes };
}
