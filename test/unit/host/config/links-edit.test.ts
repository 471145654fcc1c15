/**
 * Entries of `links` added and removed in the text of a config file: what changes is the entry, and
 * nothing else of the text.
 */

import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

import { Rng } from '../../../../src/core/base/rng.ts';
import { entriesOf, withLink, withoutLink } from '../../../../src/host/config/links-edit.ts';

const ENTRY = { address: '192.0.2.9:8100', name: 'rome' };
const WRITTEN = '{ address: "192.0.2.9:8100", name: "rome" }';

/** Files, and what they are with ENTRY; the entry taken out again makes them what they were. */
const FILES: readonly (readonly [what: string, before: string, after: string])[] = [
  [
    'a list by lines, with comments',
    '# top\nid: 10.0.0.1   # ours\nlinks:\n  # west\n  - { address: "192.0.2.1:1" } # one\n' +
      '  - address: 192.0.2.2:1\n    congestion: cubic   # two\n\n# below\naccept:   false\n',
    '# top\nid: 10.0.0.1   # ours\nlinks:\n  # west\n  - { address: "192.0.2.1:1" } # one\n' +
      '  - address: 192.0.2.2:1\n    congestion: cubic   # two\n' +
      `  - ${WRITTEN}\n\n# below\naccept:   false\n`,
  ],
  [
    'a list without indent, at the end, without a last newline',
    'links:\n- {address: "192.0.2.1:1"}',
    `links:\n- {address: "192.0.2.1:1"}\n- ${WRITTEN}`,
  ],
  [
    'a list in brackets',
    'links: [{ address: "192.0.2.1:1" }]  # all\nname: x\n',
    `links: [{ address: "192.0.2.1:1" }, ${WRITTEN}]  # all\nname: x\n`,
  ],
  [
    'brackets over lines',
    'links: [\n  {address: "192.0.2.1:1"},\n  {address: "192.0.2.2:1"}\n]\n',
    `links: [\n  {address: "192.0.2.1:1"},\n  {address: "192.0.2.2:1"}, ${WRITTEN}\n]\n`,
  ],
  ['empty brackets', 'links: []\nname: x\n', `links: [${WRITTEN}]\nname: x\n`],
];

describe('links of a config file', () => {
  test.each(FILES)('%s', (_what, before, after) => {
    expect(withLink(before, ENTRY)).toBe(after);
    expect(withoutLink(after, entriesOf(after).length - 1)).toBe(before);
  });

  test('none yet: behind the key, or at the end', () => {
    expect(withLink('id: 10.0.0.1 # ours', ENTRY)).toBe(
      `id: 10.0.0.1 # ours\nlinks:\n  - ${WRITTEN}\n`,
    );
    expect(withLink('links:   # none\nname: x\n', ENTRY)).toBe(
      `links:   # none\n  - ${WRITTEN}\nname: x\n`,
    );
    expect(withLink('', ENTRY)).toBe(`links:\n  - ${WRITTEN}\n`);
  });

  test('the last one gone leaves an empty list, which takes one again', () => {
    const one = '# a\nlinks:\n  - address: 192.0.2.1:1\n    node: 10.0.0.2\nname: x # b\n';
    const none = withoutLink(one, 0);
    expect(none).toBe('# a\nlinks:\n  []\nname: x # b\n');
    expect(entriesOf(withLink(none, ENTRY))).toEqual([ENTRY]);
  });

  test('what can be said in one way only by hand is refused, and the entry told', () => {
    for (const text of [
      'links: *all\n',
      'base: &all [{address: "192.0.2.1:1"}]\nlinks: *all\n',
      '- 1\n',
      'links: 7\n',
      'a: [\n',
    ])
      expect(() => withLink(text, ENTRY), text).toThrow(/the config file stays as it is/);
    expect(() => withoutLink('links: []\n', 0)).toThrow(/no such entry/);
  });

  test('whatever is edited, the rest of the data and all comments stay', () => {
    const rng = new Rng(7);
    for (let round = 0; round < 100; round += 1) {
      const flow = rng.chance(0.4);
      const items = Array.from({ length: rng.below(4) }, (_, i) => {
        const address = `"192.0.2.${i + 1}:1"`;
        const comment = rng.chance(0.5) ? ` # item ${i}` : '';
        if (flow) return `{ address: ${address}${rng.chance(0.5) ? ', name: n' : ''} }`;
        return rng.chance(0.5)
          ? `  - { address: ${address} }${comment}\n`
          : `  - address: ${address}${comment}\n    congestion: bbr\n`;
      });
      const gap = rng.chance(0.5) ? '\n# between\n' : '';
      const list =
        flow || items.length === 0
          ? `links: [${items.join(rng.chance(0.5) ? ', ' : ',')}]\n`
          : `links:\n${items.join(gap === '' ? '' : '  # inner\n')}`;
      const text = `# first\nname: x\n${list}${gap}accept: true # last\n`;
      const added = withLink(text, ENTRY);
      expect(entriesOf(added)).toEqual([...entriesOf(text), ENTRY]);
      const comments = (of: string): string[] => [...of.matchAll(/#.*/g)].map(([one]) => one);
      expect(comments(added)).toEqual(comments(text));
      const at = rng.below(items.length + 1);
      const removed = withoutLink(added, at);
      const { links, ...rest } = parse(removed) as Record<string, unknown>;
      expect(links).toEqual(entriesOf(added).filter((_entry, i) => i !== at));
      expect(rest).toEqual({ name: 'x', accept: true });
      if (at === items.length) expect(removed).toBe(text);
    }
  });
});
