/**
 * `spines cat`: netcat over the overlay, with a stream or, with -u, datagrams.
 *
 *   spines cat --listen PORT     waits for a stream, or for datagrams
 *   spines cat NODE PORT         goes there
 *
 * Owns the flags and which of them go together; the traffic is cat-stream.ts's and
 * cat-datagrams.ts's.
 */

import { SERVICE_NAMES } from '../../core/wire/modes.ts';
import { Option, type Command } from 'commander';
import { MESSAGE_BYTES_MAX } from 'spines-client';

import { SIZE_DEFAULT, listenForDatagrams, sendDatagrams } from './cat-datagrams.ts';
import type { CatFlags } from './cat-flags.ts';
import { connectStream, listenForStreams } from './cat-stream.ts';
import { notesNeverWait } from '../terminal/log.ts';
import {
  addClientFlags,
  routingOption,
  secrecyOption,
  silenceOption,
  withClient,
} from '../client.ts';
import { usage } from '../terminal/failure.ts';
import { helpBelow } from '../terminal/help-text.ts';
import { portArg, rateArg, sizeArg } from '../terminal/values.ts';

const HELP = `
A stream carries standard input to the far end and what comes \
from there to standard output, complete and in order; the end of standard
input closes that direction only. Datagrams (-u) go one way, unless --reply is given, \
may be lost or change places, and are not sent again.`;

export function registerCat(program: Command): void {
  addClientFlags(
    program
      .command('cat [node] [port]')
      .description("join standard input and output to a node's port, or listen for that"),
  )
    .option('-l, --listen <port>', 'listen on this port instead', portArg)
    .option('-u, --datagram', 'datagrams instead of a stream')
    .addOption(
      new Option(
        '--link <service>',
        'recovery on every hop (default: reliable; best-effort with -u)',
      ).choices(SERVICE_NAMES),
    )
    .addOption(routingOption())
    .addOption(secrecyOption())
    .addOption(silenceOption())
    .option(
      '--rate <rate>',
      'payload bit rate, such as 40mbit (default: as fast as the daemon takes it)',
      rateArg,
    )
    .option(
      '--size <bytes>',
      `with -u: most payload of one datagram (default: ${SIZE_DEFAULT})`,
      sizeArg(1, MESSAGE_BYTES_MAX),
    )
    .option('--join <group>', 'with -u --listen: hear what is sent to this group')
    .option(
      '--reply',
      'with -u: both directions; the listener sends its standard input back to who sent last',
    )
    .addOption(
      new Option(
        '-k, --keep-open',
        'go on listening: for the next stream (standard input is not read), or after an end mark',
      ),
    )
    .option('-v, --verbose', 'counts at the end, on stderr')
    .addHelpText('after', helpBelow(HELP))
    .action(cat);
}

/** Goes one of four ways, or says which flags do not go together. */
function cat(node: string | undefined, port: string | undefined, flags: CatFlags): Promise<void> {
  if (flags.datagram !== true) {
    if (flags.size !== undefined)
      throw usage('--size cuts datagrams; give -u as well, or leave it away');
    if (flags.link === 'realtime')
      throw usage(
        'realtime links carry datagrams, which have a deadline; give -u as well, or choose ' +
          '--link reliable or best-effort',
      );
    if (flags.reply === true)
      throw usage(
        '--reply is for datagrams, a stream has both directions; give -u as well, or leave ' +
          'it away',
      );
  }
  if (flags.join !== undefined && (flags.datagram !== true || flags.listen === undefined))
    throw usage('--join is for listening to datagrams; give -u and --listen PORT as well');
  if (flags.datagram === true && flags.silence !== undefined)
    throw usage('--silence is for streams, nobody answers datagrams; leave it or -u away');
  if (flags.listen !== undefined) {
    if (node !== undefined)
      throw usage(
        '--listen takes no node; write `spines cat --listen PORT`, or `spines cat NODE PORT` ' +
          'to send',
      );
    const { listen } = flags;
    return withClient(flags, 'cat', (client) => {
      notesNeverWait();
      return flags.datagram === true
        ? listenForDatagrams(client, listen, flags)
        : listenForStreams(client, listen, flags);
    });
  }
  if (node === undefined || port === undefined)
    throw usage(
      'no node and port to send to; write `spines cat NODE PORT`, or `spines cat --listen ' +
        'PORT` to receive',
    );
  if (flags.keepOpen === true)
    throw usage('--keep-open is for listening; give --listen PORT as well, or leave it away');
  const to = portArg(port);
  return withClient(flags, 'cat', (client) => {
    notesNeverWait();
    return flags.datagram === true
      ? sendDatagrams(client, node, to, flags)
      : connectStream(client, node, to, flags);
  });
}
