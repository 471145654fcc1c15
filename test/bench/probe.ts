/**
 * Preloaded into the program `spines daemon` by the bench (node --import): tells the process's CPU
 * time, and on order what it allocates and how late its loop is. The daemon knows nothing of it.
 */

import { answerProbe, type ProbeOrder } from './gauges.js';

process.on('message', (order: ProbeOrder) => {
  const answer = answerProbe(order);
  if (answer !== null) process.send!(answer);
});
process.on('disconnect', () => process.exit(0));
