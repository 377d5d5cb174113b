import { expect, it } from 'vitest';
import { highlightPattern, splitMatches } from '@/lib/query/highlight';

it('marks searched words and texts, not filters or what is excluded', () => {
  const pattern = highlightPattern('timeout "conn. reset" -ignored level:error *pay*');
  expect(pattern?.source).toBe('timeout|conn\\. reset|pay');
});

it('has nothing to mark in a query of filters alone', () => {
  expect(highlightPattern('level:error service:(a OR b)')).toBeUndefined();
});

it('cuts a text into pieces, every second one a match', () => {
  expect(splitMatches('Timeout and timeout', /timeout/gi)).toEqual(['', 'Timeout', ' and ', 'timeout', '']);
});
