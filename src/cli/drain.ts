/**
 * `spines drain`: has a daemon carry nothing for others, waits until nobody misses it, and ends it.
 *
 * Owns the wait and what is said. What drains is the daemon's (core/node/transit.ts); how it is
 * ended is stop.ts's.
 */

import type { Command } from 'commander';
import type { DrainReply } from 'spines-client/protocol';

import { MILLISECOND, SECOND, type Micros } from '../core/base/time.ts';
import { addClientFlags, ask, withClient, type ClientFlags } from './client.ts';
import { stopOne } from './stop.ts';
import { EXIT_NO, Failure, usage } from './terminal/failure.ts';
import { helpBelow } from './terminal/help-text.ts';
import { note, print, printJson } from './terminal/output.ts';
import { durationArg } from './terminal/values.ts';

interface DrainFlags extends ClientFlags {
  timeout: Micros;
  force?: boolean;
  stay?: boolean;
  end?: boolean;
  json?: boolean;
}

const LOOK_MS = 200;

const HELP = `
The daemon tells all others that it carries nothing for them. What is under way goes on; once \
nothing
of others has passed for a second, and neighbours have all that waited here, it is stopped. Its own
programs go on until then: end them first where nothing of theirs may be lost.`;

export function registerDrain(program: Command): void {
  addClientFlags(
    program
      .command('drain')
      .description('have others go round this daemon, then stop it without a lost message'),
  )
    .option('--timeout <time>', 'give up waiting after so long', durationArg, 30 * SECOND)
    .option('--force', 'also where nodes would be cut off; at the timeout, stop all the same')
    .option('--stay', 'leave it running, drained')
    .option('--end', 'carry packets of others again')
    .option('--json', 'print JSON')
    .addHelpText('after', helpBelow(HELP))
    .action(async (flags: DrainFlags) => {
      if (flags.end === true && (flags.stay === true || flags.force === true))
        throw usage('--end undoes a drain, and goes with neither --stay nor --force');
      const reply = await withClient(flags, 'drain', async (client) => {
        if (flags.end === true) return await ask(client, 'drain', { end: true });
        const until = performance.now() + flags.timeout / MILLISECOND;
        const force = flags.force === true;
        for (;;) {
          const drained = await ask(client, 'drain', { force });
          if (drained.state === 'drained' || performance.now() >= until) return drained;
          await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        }
      });
      await said(reply, flags);
    });
}

async function said(reply: DrainReply, flags: DrainFlags): Promise<void> {
  const stops = flags.stay !== true && flags.end !== true;
  if (reply.state === 'draining' && !(stops && flags.force === true))
    throw new Failure(
      EXIT_NO,
      'ETIMEDOUT',
      `still not drained after ${flags.timeout / SECOND} s: ${whatIsLeft(reply)}; it carries ` +
        'nothing new: wait longer with --timeout, stop it all the same with --force, or go back ' +
        'with --end',
    );
  for (const { name, node } of reply.cutOff)
    if (flags.end !== true) note(`${name ?? node} is cut off from others without this daemon`);
  if (flags.json === true) printJson(reply);
  else if (flags.end === true) print('it carries packets of others again\n');
  else if (reply.state === 'drained') print('drained: nothing of others passes here\n');
  if (stops) await stopOne(flags, flags.json === true);
}

function whatIsLeft({ quietMs, queuedBytes, unacknowledged, waitingForRoute }: DrainReply): string {
  const left = [
    ...(quietMs < 1_000 ? ['packets of others still pass'] : []),
    ...(queuedBytes > 0 ? [`${queuedBytes} bytes wait for links`] : []),
    ...(unacknowledged > 0 ? [`neighbours have not confirmed ${unacknowledged} packets`] : []),
    ...(waitingForRoute > 0 ? [`${waitingForRoute} packets wait for a route`] : []),
  ];
  return left.join(', ');
}
