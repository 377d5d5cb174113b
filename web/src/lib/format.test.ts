import { expect, it } from 'vitest';
import { formatBytes, formatCompact, formatDuration, formatElapsed, plural } from '@/lib/format';

it('writes sizes, counts and times for people', () => {
  expect(formatBytes(0)).toBe('0 B');
  expect(formatBytes(1536)).toBe('1.5 KiB');
  expect(formatBytes(500 * 1024 ** 3)).toBe('500 GiB');
  expect(formatCompact(9_999)).toBe('9,999');
  expect(formatCompact(1_234_567)).toBe('1.2M');
  expect(formatDuration(98_765)).toBe('1 d 3 h');
  expect(formatDuration(0)).toBe('0 s');
  expect(formatElapsed(3.71)).toBe('3.7 ms');
  expect(formatElapsed(1_240)).toBe('1.24 s');
  expect(plural(1, 'record')).toBe('1 record');
  expect(plural(2_000, 'record')).toBe('2,000 records');
});
