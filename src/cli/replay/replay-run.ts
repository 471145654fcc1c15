/** What a run of a topology file gives, in real time and in virtual time. */

import type { DelaySeries } from '../../lab/report/delay-plot.ts';
import type { Report } from '../../lab/report/report.ts';

/** What a run gives. `delays`: the flows' samples for the plot. */
export interface ReplayRun {
  readonly report: Report;
  readonly delays: readonly DelaySeries[];
}
