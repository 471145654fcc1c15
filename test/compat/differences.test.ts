/**
 * Every case in which spines-client differs from Node on purpose is told to its users, and the
 * suite is as large as it should be.
 */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { dgramCases } from './dgram-cases.ts';
import { Different } from './harness.ts';
import { netArguments } from './net-arguments.ts';
import { netServers } from './net-servers.ts';
import { netSockets } from './net-sockets.ts';
import { processCases } from './process-cases.ts';

const README = readFileSync(
  new URL('../../spines-client/README.md', import.meta.url),
  'utf8',
).replaceAll(/\s+/g, ' ');
const section = README.slice(README.indexOf('## Differences from net and dgram'));

test('what differs is in the README, and nothing stands there that no case shows', () => {
  const told = new Set(
    [...netArguments, ...netServers, ...netSockets, ...dgramCases, ...processCases].flatMap(
      ({ expected }) => (expected instanceof Different ? [expected.told] : []),
    ),
  );
  expect([...told].filter((sentence) => !section.includes(sentence))).toEqual([]);
});

test('there are at least 110 cases of net and 56 of dgram, and no name is used twice', () => {
  const net = [...netArguments, ...netServers, ...netSockets, ...processCases];
  expect(net.length).toBeGreaterThanOrEqual(110);
  expect(dgramCases.length).toBeGreaterThanOrEqual(56);
  for (const cases of [net, dgramCases])
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
});
