/** The command line within a test: what it printed, and whether a picture that it wrote is one. */

import { expect, vi } from 'vitest';

import { run } from '../../src/cli/program.ts';

export async function spines(
  ...argv: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const [stdout, stderr] = [
    vi.spyOn(process.stdout, 'write').mockReturnValue(true),
    vi.spyOn(process.stderr, 'write').mockReturnValue(true),
  ];
  try {
    const code = await run(argv);
    return {
      code,
      stdout: stdout.mock.calls.map(([text]) => String(text)).join(''),
      stderr: stderr.mock.calls.map(([text]) => String(text)).join(''),
    };
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
}

export function isWellFormed(svg: string): void {
  expect(svg).toMatch(/^<svg [^>]*>\n[\s\S]*<\/svg>\n$/);
  expect(svg).not.toMatch(/NaN|undefined|"-?Infinity/);
  expect(svg.match(/<(?!\/|[a-z]+[^>]*\/>)[a-z]+/g)!.length).toBe(svg.match(/<\/[a-z]+/g)!.length);
}
