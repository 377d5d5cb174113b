import { expect, it } from 'vitest';
import { arrivalBuckets, arrivalRate, countArrivals, WINDOW_SECONDS } from '@/features/explore/live/rate';
import { narrowRecord } from '@/lib/record';

const one = narrowRecord({ id: 'a', level: 'warn' });
const records = one === undefined ? [] : [one, one];

it('counts by second and level, and forgets after the window', () => {
  const first = countArrivals(new Map(), records, 100_000);
  const second = countArrivals(first, records, 100_900);
  expect(arrivalBuckets(second, 100_950).at(-1)).toMatchObject({ count: 4, levels: { warn: 4 } });
  expect(arrivalRate(second, 102_000)).toBeCloseTo(4 / 5);
  const later = countArrivals(second, records, 100_000 + WINDOW_SECONDS * 1_000);
  expect([...later.values()].map((bucket) => bucket.count)).toEqual([2]);
  expect(arrivalBuckets(later, 0)).toHaveLength(WINDOW_SECONDS);
});
