/** Route requests and responses: what is encoded decodes to the same, and nothing else does. */

import { describe, expect, test } from 'vitest';

import { equalBytes, hex } from '../../../../src/core/base/bytes.ts';
import { Rng } from '../../../../src/core/base/rng.ts';
import { draw } from '../../../../src/core/crypto/keys.ts';
import {
  appendRouteHop,
  decodeRouteRequest,
  decodeRouteResponse,
  destinationSignature,
  hopSignature,
  makeRouteRequest,
  makeRouteResponse,
  partOfHop,
  ROUTE_EPOCH_MAX,
  ROUTE_EXPONENT_MAX,
  ROUTE_HOP_BYTES,
  ROUTE_HOPS_MAX,
  ROUTE_REQUEST_BYTES_MAX,
  ROUTE_REQUEST_HEAD_BYTES,
  ROUTE_RESPONSE_BYTES_MAX,
  ROUTE_RESPONSE_HEAD_BYTES,
  ROUTE_WEIGHT_BYTES,
  ROUTE_WEIGHTS_MAX,
  routeLinkWeight,
  routeWeightsOf,
  signedByDestination,
  signedByHop,
  type RouteRequest,
  type RouteResponse,
  type RouteWeight,
} from '../../../../src/core/wire/discovery.ts';
import { DropReason } from '../../../../src/core/wire/drop.ts';

const AT = 5;

function weightsOf(rng: Rng, count: number): RouteWeight[] {
  return routeWeightsOf(
    Array.from({ length: count }, () => ({
      u: 1 + rng.below(1000),
      v: 1001 + rng.below(1000),
      exponent: 1 + rng.below(ROUTE_EXPONENT_MAX),
    })),
  );
}

function requestOf(rng: Rng, count = rng.below(ROUTE_WEIGHTS_MAX + 1)): RouteRequest {
  const content = {
    source: 1 + rng.below(1000),
    destination: 2000 + rng.below(1000),
    epoch: rng.below(2) * ROUTE_EPOCH_MAX,
    sequence: rng.u32(),
    key: draw(rng, 32),
    weights: weightsOf(rng, count),
  };
  return makeRouteRequest(content, () => draw(rng, 64));
}

function responseBytes(rng: Rng, hops: number): Uint8Array {
  const question = { source: 1, destination: 2, epoch: rng.u32() * 0x1_0000, sequence: rng.u32() };
  let bytes = makeRouteResponse(question, draw(rng, 32), draw(rng, 32), () => draw(rng, 64));
  for (let i = 0; i < hops; i += 1)
    bytes = appendRouteHop(responseIn(bytes), 10 + i, draw(rng, 32), () => draw(rng, 64));
  return bytes;
}

function responseIn(bytes: Uint8Array): RouteResponse {
  const response = decodeRouteResponse(bytes, 0, bytes.length);
  if (typeof response === 'number') throw new Error(`no response: ${response}`);
  return response;
}

/** `bytes` at AT of a buffer full of noise. */
function amid(rng: Rng, bytes: Uint8Array): Uint8Array {
  const b = draw(rng, bytes.length + 2 * AT);
  b.set(bytes, AT);
  return b;
}

describe('route requests', () => {
  test('come back as they were', () => {
    const rng = new Rng(1);
    for (let i = 0; i < 300; i += 1) {
      const request = requestOf(rng);
      const b = amid(rng, request.bytes);
      expect(decodeRouteRequest(b, AT, AT + request.bytes.length)).toEqual(request);
    }
  });

  test('have the bytes of the specification', () => {
    const request = makeRouteRequest(
      {
        source: 1,
        destination: 2,
        epoch: 3,
        sequence: 4,
        key: new Uint8Array(32).fill(5),
        weights: [{ u: 6, v: 7, exponent: 8 }],
      },
      () => new Uint8Array(64).fill(9),
    );
    expect(hex(request.bytes)).toBe(
      `03${'00000001'}${'00000002'}${'000000000003'}${'00000004'}${'05'.repeat(32)}` +
        `01${'00000006'}${'00000007'}08${'09'.repeat(64)}`,
    );
  });

  test('are signed from the first byte to the last weight', () => {
    const rng = new Rng(2);
    let signed = new Uint8Array(0);
    const { bytes } = makeRouteRequest(
      {
        source: 1,
        destination: 2,
        epoch: 3,
        sequence: 4,
        key: draw(rng, 32),
        weights: weightsOf(rng, 9),
      },
      (part) => {
        signed = part.slice();
        return draw(rng, 64);
      },
    );
    expect(signed).toEqual(bytes.subarray(0, bytes.length - 64));
  });

  test('of the largest size are as large as it says', () => {
    const weights = Array.from({ length: ROUTE_WEIGHTS_MAX }, (_, i) => ({
      u: 1,
      v: 2 + i,
      exponent: 1,
    }));
    const { bytes } = makeRouteRequest(
      { source: 1, destination: 2, epoch: 0, sequence: 0, key: new Uint8Array(32), weights },
      () => new Uint8Array(64),
    );
    expect(bytes.length).toBe(ROUTE_REQUEST_BYTES_MAX);
    expect(typeof decodeRouteRequest(bytes, 0, bytes.length)).toBe('object');
  });

  const broken: [string, (b: Uint8Array) => Uint8Array][] = [
    ['cut short', (b) => b.subarray(0, b.length - 1)],
    ['followed by something', (b) => Uint8Array.of(...b, 0)],
    ['of another type', (b) => b.fill(4, 0, 1)],
    ['without a source', (b) => b.fill(0, 1, 5)],
    ['for no node', (b) => b.fill(255, 5, 9)],
    [
      'for its own source',
      (b) => {
        b.set(b.slice(1, 5), 5);
        return b;
      },
    ],
    ['with more weights than there are', (b) => b.fill(b[51]! + 1, 51, 52)],
    [
      'with a weight of 1',
      (b) => b.fill(0, ROUTE_REQUEST_HEAD_BYTES + 8, ROUTE_REQUEST_HEAD_BYTES + 9),
    ],
    [
      'with a weight above the most',
      (b) =>
        b.fill(ROUTE_EXPONENT_MAX + 1, ROUTE_REQUEST_HEAD_BYTES + 8, ROUTE_REQUEST_HEAD_BYTES + 9),
    ],
    [
      'with a link the wrong way round',
      (b) => {
        const a = b.slice(52, 56);
        b.set(b.slice(56, 60), 52);
        b.set(a, 56);
        return b;
      },
    ],
    [
      'with a link twice',
      (b) => {
        b.set(b.slice(52, 61), 61);
        return b;
      },
    ],
    [
      'with links out of order',
      (b) => {
        const a = b.slice(52, 61);
        b.set(b.slice(61, 70), 52);
        b.set(a, 61);
        return b;
      },
    ],
  ];
  test.each(broken)('%s are malformed', (_what, change) => {
    const b = change(requestOf(new Rng(3), 12).bytes.slice());
    expect(decodeRouteRequest(b, 0, b.length)).toBe(DropReason.routeRequestMalformed);
  });

  test('with more weights than may be are malformed', () => {
    const b = new Uint8Array(ROUTE_REQUEST_BYTES_MAX + ROUTE_WEIGHT_BYTES);
    b.set(requestOf(new Rng(4), 5).bytes.subarray(0, ROUTE_REQUEST_HEAD_BYTES), 0);
    b[51] = ROUTE_WEIGHTS_MAX + 1;
    for (let i = 0; i <= ROUTE_WEIGHTS_MAX; i += 1)
      b.set([0, 0, 0, 1, 0, 0, 1, i, 1], ROUTE_REQUEST_HEAD_BYTES + i * ROUTE_WEIGHT_BYTES);
    expect(decodeRouteRequest(b, 0, b.length)).toBe(DropReason.routeRequestMalformed);
  });
});

describe('weights', () => {
  test('of a request are the heaviest, each link once, in order', () => {
    const entries = Array.from({ length: 100 }, (_, i) => ({
      u: 500 - i,
      v: 500,
      exponent: 1 + (i % 25),
    }));
    const weights = routeWeightsOf([
      ...entries,
      { u: 500, v: 450, exponent: 39 },
      { u: 1, v: 2, exponent: 0 },
      { u: 3, v: 3, exponent: 5 },
      { u: 7, v: 8, exponent: 99 },
    ]);
    expect(weights).toHaveLength(ROUTE_WEIGHTS_MAX);
    expect(weights).toContainEqual({ u: 450, v: 500, exponent: 39 });
    expect(weights).toContainEqual({ u: 7, v: 8, exponent: ROUTE_EXPONENT_MAX });
    expect(Math.min(...weights.map((weight) => weight.exponent))).toBe(10);
    expect(weights).toEqual([...weights].sort((x, y) => x.u - y.u || x.v - y.v));
    expect(routeWeightsOf([...entries].reverse())).toEqual(routeWeightsOf(entries));
  });

  test('are found both ways round, and a link that is not listed weighs 1', () => {
    const weights = weightsOf(new Rng(5), 50);
    for (const { u, v, exponent } of weights) {
      expect(routeLinkWeight(weights, u, v)).toBe(2 ** exponent);
      expect(routeLinkWeight(weights, v, u)).toBe(2 ** exponent);
    }
    expect(routeLinkWeight(weights, 5000, 5001)).toBe(1);
    expect(routeLinkWeight([], 1, 2)).toBe(1);
  });
});

describe('route responses', () => {
  test('come back as they were, hop by hop', () => {
    const rng = new Rng(6);
    for (let hops = 0; hops <= ROUTE_HOPS_MAX; hops += 1) {
      const bytes = responseBytes(rng, hops);
      expect(bytes).toHaveLength(ROUTE_RESPONSE_HEAD_BYTES + hops * ROUTE_HOP_BYTES);
      const response = decodeRouteResponse(amid(rng, bytes), AT, AT + bytes.length);
      expect(response).toEqual(responseIn(bytes));
      expect(responseIn(bytes).hops.map((hop) => hop.node)).toEqual(
        Array.from({ length: hops }, (_, i) => 10 + i),
      );
    }
    expect(responseBytes(rng, ROUTE_HOPS_MAX)).toHaveLength(ROUTE_RESPONSE_BYTES_MAX);
  });

  test('have the bytes of the specification', () => {
    const bare = makeRouteResponse(
      { source: 1, destination: 2, epoch: 3, sequence: 4 },
      new Uint8Array(32).fill(5),
      new Uint8Array(32).fill(6),
      () => new Uint8Array(64).fill(7),
    );
    const head =
      `04${'00000001'}${'00000002'}${'000000000003'}${'00000004'}` +
      `${'05'.repeat(32)}${'06'.repeat(32)}${'07'.repeat(64)}`;
    expect(hex(bare)).toBe(`${head}00`);
    const one = appendRouteHop(responseIn(bare), 8, new Uint8Array(32).fill(9), () =>
      new Uint8Array(64).fill(10),
    );
    expect(hex(one)).toBe(`${head}01${'00000008'}${'09'.repeat(32)}${'0a'.repeat(64)}`);
  });

  test('are signed over everything in front but the count', () => {
    const rng = new Rng(7);
    const bytes = responseBytes(rng, 3);
    expect(signedByDestination(bytes)).toEqual(bytes.subarray(0, 83));
    expect(destinationSignature(bytes)).toEqual(bytes.subarray(83, 147));
    for (let i = 0; i < 3; i += 1) {
      const at = 148 + 100 * i;
      expect(signedByHop(bytes, i)).toEqual(
        Uint8Array.of(...bytes.subarray(0, 147), ...bytes.subarray(148, at + 36)),
      );
      expect(hopSignature(bytes, i)).toEqual(bytes.subarray(at + 36, at + 100));
      expect(partOfHop(bytes, i)).toEqual(bytes.subarray(at, at + 100));
    }
    expect(partOfHop(bytes, -1)).toEqual(bytes.subarray(0, 147));
  });

  const broken: [string, (b: Uint8Array) => Uint8Array][] = [
    ['cut short', (b) => b.subarray(0, b.length - 1)],
    ['without the last hop', (b) => b.subarray(0, b.length - ROUTE_HOP_BYTES)],
    ['followed by something', (b) => Uint8Array.of(...b, 0)],
    ['of another type', (b) => b.fill(3, 0, 1)],
    ['with another count', (b) => b.fill(2, 147, 148)],
    [
      'with a node twice',
      (b) => {
        b.set(b.slice(148, 152), 248);
        return b;
      },
    ],
    [
      'through the source',
      (b) => {
        b.set(b.slice(1, 5), 248);
        return b;
      },
    ],
    [
      'through the destination',
      (b) => {
        b.set(b.slice(5, 9), 248);
        return b;
      },
    ],
    ['through no node', (b) => b.fill(0, 148, 152)],
    [
      'to its own source',
      (b) => {
        b.set(b.slice(1, 5), 5);
        return b;
      },
    ],
  ];
  test.each(broken)('%s are malformed', (_what, change) => {
    const b = change(responseBytes(new Rng(8), 3));
    expect(decodeRouteResponse(b, 0, b.length)).toBe(DropReason.routeResponseMalformed);
  });

  test('with more hops than may be are malformed', () => {
    const b = new Uint8Array(ROUTE_RESPONSE_BYTES_MAX + ROUTE_HOP_BYTES);
    b.set(responseBytes(new Rng(9), ROUTE_HOPS_MAX), 0);
    b[147] = ROUTE_HOPS_MAX + 1;
    b[b.length - ROUTE_HOP_BYTES + 3] = 99;
    expect(decodeRouteResponse(b, 0, b.length)).toBe(DropReason.routeResponseMalformed);
  });
});

test('whatever comes, decoders answer, and what they accept is what came', () => {
  const rng = new Rng(10);
  let accepted = 0;
  for (let i = 0; i < 20_000; i += 1) {
    const b = rng.chance(0.5)
      ? requestOf(rng, rng.below(6)).bytes.slice()
      : responseBytes(rng, rng.below(5));
    for (let n = rng.below(4); n > 0; n -= 1) b[rng.below(b.length)] = rng.u32() & 0xff;
    const end = rng.chance(0.3) ? rng.below(b.length + 1) : b.length;
    const request = decodeRouteRequest(b, 0, end),
      response = decodeRouteResponse(b, 0, end);
    if (typeof request === 'object') {
      accepted += 1;
      if (
        !equalBytes(
          makeRouteRequest(request, () => request.bytes.subarray(request.bytes.length - 64)).bytes,
          b.subarray(0, end),
        )
      )
        throw new Error(hex(b));
    } else expect(request).toBe(DropReason.routeRequestMalformed);
    if (typeof response === 'object') {
      accepted += 1;
      if (!equalBytes(response.bytes, b.subarray(0, end))) throw new Error(hex(b));
    } else expect(response).toBe(DropReason.routeResponseMalformed);
  }
  expect(accepted).toBeGreaterThan(5_000);
});
