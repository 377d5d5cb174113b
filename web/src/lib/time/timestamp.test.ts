import { expect, it } from 'vitest';
import { compareTimes, fullTime, relativeTime, rowTime } from '@/lib/time/timestamp';

it('keeps every digit of the fraction', () => {
  expect(fullTime('2026-11-22T10:00:00.123456789Z')).toContain('.123456789');
});

it('shows what is no time as it came', () => {
  expect(rowTime('not a time')).toBe('not a time');
  expect(rowTime('')).toBe('—');
  expect(relativeTime('nope', 0)).toBe('');
});

it('orders by nanoseconds, whatever the number of digits', () => {
  const sorted = ['2026-11-22T10:00:00.1Z', '2026-11-22T10:00:00Z', '2026-11-22T10:00:00.000000001Z'].sort(
    compareTimes,
  );
  expect(sorted).toEqual([
    '2026-11-22T10:00:00Z',
    '2026-11-22T10:00:00.000000001Z',
    '2026-11-22T10:00:00.1Z',
  ]);
});

it('says how long ago in the largest unit', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');
  expect(relativeTime('2026-11-22T09:57:00Z', now)).toBe('3 min ago');
  expect(relativeTime('2026-11-24T10:00:00Z', now)).toBe('in 2 d');
});
