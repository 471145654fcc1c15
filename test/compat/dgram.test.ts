/**
 * What node:dgram promises, of node:dgram and of spines-client's datagram sockets over a daemon in
 * this process.
 */

import { runCases } from './harness.ts';
import { useDaemon } from './daemon.ts';
import { dgramCases } from './dgram-cases.ts';

useDaemon();
runCases(dgramCases);
