/**
 * The experiments on Byzantine routing, in virtual time: five of them, each with the figures that
 * show it and the statements that it tests.
 *
 * Each is in a file of its own, with the runs that it makes and what is taken from each; networks,
 * routers and attacks are byzantine-figures-lab.ts's, text and pictures
 * byzantine-figures-table.ts's. Bounds are those of Awerbuch, Holmer, Nita-Rotaru and Rubens (WiSe
 * 2002), section 5, and tighter ones that follow from the same counting. Invariant: the same
 * options give the same values.
 */

import type { ByzantineFiguresOptions, Experiment } from './byzantine-experiment.ts';
import { cost } from './byzantine-cost.ts';
import { damage } from './byzantine-damage.ts';
import { delivery } from './byzantine-delivery.ts';
import { localisation } from './byzantine-localisation.ts';
import { overhead } from './byzantine-overhead.ts';

export * from './byzantine-cost.ts';
export * from './byzantine-damage.ts';
export * from './byzantine-delivery.ts';
export * from './byzantine-experiment.ts';
export * from './byzantine-localisation.ts';

/** By name, in the order of the table. */
export const EXPERIMENTS: Readonly<
  Record<string, (options: ByzantineFiguresOptions) => Experiment>
> = { delivery, cost, localisation, damage, overhead };
