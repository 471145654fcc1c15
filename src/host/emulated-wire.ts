/**
 * The emulated wire under a daemon's sockets, where its config or its operators ask for one.
 *
 * Owns which peers have one, and how operators change it. Without emulation the sockets are the
 * wire.
 */

import { makeEndpoint, type DatagramSink } from '../core/base/datagram.ts';
import { Rng } from '../core/base/rng.ts';
import type { Clock, Timers } from '../core/base/time.ts';
import { EmulatedSink } from '../core/emulation/emulated-sink.ts';
import { defaultDirection, toLinkSettings } from '../core/emulation/link-settings.ts';
import type { EmulationControl } from '../core/operator/emulation-control.ts';
import type { DaemonOptions } from './daemon-options.ts';

/**
 * Datagrams on an emulated wire may leave this much early, and as often leave late: a grain of the
 * OS timer.
 */
export const WIRE_GRAIN_US = 1_000;

/** Where the node's datagrams go, and what operators may change of it; null: nothing. */
export function wireOver(
  udp: DatagramSink,
  {
    emulation,
    emulationSeed,
    config,
  }: Pick<DaemonOptions, 'emulation' | 'emulationSeed' | 'config'>,
  clock: Clock,
  timers: Timers,
): { sink: DatagramSink; emulation: EmulationControl | null } {
  if (emulation.length === 0 && !config.allowEmulation) return { sink: udp, emulation: null };
  const sink = new EmulatedSink(udp, clock, timers, new Rng(emulationSeed), {
    slackUs: WIRE_GRAIN_US,
  });
  for (const { peer, settings } of emulation) {
    const { key } = makeEndpoint(peer.address, peer.port);
    sink.attach(key, settings, `to ${key}`);
  }
  const control: EmulationControl = {
    get: (peer) => {
      const model = sink.get(peer.key);
      return model === null ? null : toLinkSettings(model.settings);
    },
    set: (peer, change) => {
      if (sink.get(peer.key) === null) sink.attach(peer.key, defaultDirection(), `to ${peer.key}`);
      const settings = sink.setLink(peer.key, change);
      return settings === null ? null : toLinkSettings(settings);
    },
    dropped: (peer) => sink.get(peer.key)?.dropped ?? 0,
  };
  return { sink, emulation: control };
}
