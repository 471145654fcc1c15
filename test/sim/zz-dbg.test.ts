import { test } from 'vitest';
import { MILLISECOND as MS, SECOND } from '../../src/base/time.ts';
import { SERVICE_RELIABLE } from '../../src/wire/packet.ts';
import { chain, linkOf, wire } from '../support/network.ts';
test.each([[0.2, 1], [0.2, 2], [0.3, 2],[0.1,2]])('dbg %f %i', (rate, pairs) => {
  const network = chain(pairs + 1, { seed: 1, routes: false, forward: wire({ latencyUs: 10 * MS, bandwidthKbps: 10_000, loss: { kind: 'bernoulli', rate } }) });
  const [a, d] = [network.host(0), network.host(pairs)];
  network.settle(60 * SECOND);
  const flow = network.flow(a, d, { packetsPerSecond: 300, sizeBytes: 1_000, durationUs: 60 * SECOND, options: { service: SERVICE_RELIABLE } });
  let last = 0;
  for (let i = 0; i < 10; i += 1) {
    network.run(3 * SECOND);
    const link = linkOf(a, network.host(1));
    console.log(rate, i, 'delivered/s', (flow.meter.delivered - last) / 3, 'refused', flow.refused, 'downs', network.linkDowns, 'q', link?.queueBytes, 'w', link?.reliable.windowBytes, 'fl', link?.reliable.inFlightBytes, 'rtx', link?.reliable.retransmitted, 'spur', link?.reliable.spurious, 'rtt', link?.liveness.rtt.smoothedUs, link?.liveness.rtt.variationUs);
    last = flow.meter.delivered;
  }
});
