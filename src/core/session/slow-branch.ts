/**
 * What a source of a group does that sends faster than one of the branches of its tree takes.
 *
 * Owns the names: 'drop': that branch loses what finds no room there, and the source waits only
 * when all are full; 'wait': over reliable links the source waits for the slowest of them, whether
 * its queue is here or at a node on the way, and none loses anything.
 */

export const SLOW_BRANCHES = ['drop', 'wait'] as const;
export type SlowBranch = (typeof SLOW_BRANCHES)[number];
