/**
 * What node:net promises, of node:net and of spines-client's streams over a daemon in this process.
 */

import { runCases } from './harness.ts';
import { useDaemon } from './daemon.ts';
import { netArguments } from './net-arguments.ts';
import { netServers } from './net-servers.ts';
import { netSockets } from './net-sockets.ts';

useDaemon();
runCases(netArguments);
runCases(netSockets);
runCases(netServers);
