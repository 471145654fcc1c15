/** What keeps a process running, with node:net and node:dgram and with spines-client. */

import { runCases } from './harness.ts';
import { useDaemon } from './daemon.ts';
import { processCases } from './process-cases.ts';

useDaemon();
runCases(processCases, true);
