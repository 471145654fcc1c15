#!/usr/bin/env node
/** The `spines` binary: arguments in, exit code out. Everything else is program.ts. */

import './heap.ts';
import { guardProcess } from '../host/process-secrets.ts';
import { flushOutput, watchOutput } from './terminal/output.ts';
import { endWithNpx } from './terminal/wrapper.ts';
import { run } from './program.ts';

guardProcess();
watchOutput();
endWithNpx();
const exitCode = await run(process.argv.slice(2));
await flushOutput();
process.exit(exitCode);
