import { describe, expect, it } from 'vitest';
import { parseTime, rangeLabel, resolveRange, widerPreset } from '@/lib/time/range';

const NOW = Date.parse('2026-11-22T12:00:00Z');

describe('parseTime', () => {
  it.each([
    ['now', NOW],
    ['-15m', NOW - 900_000],
    ['now-2h', NOW - 7_200_000],
    ['-7d', NOW - 604_800_000],
    ['1700000000000', 1_700_000_000_000],
    ['2026-11-22T10:00:00Z', Date.parse('2026-11-22T10:00:00Z')],
    ['2026-11-22T10:00:00.5+02:00', Date.parse('2026-11-22T08:00:00.500Z')],
    ['2026-11-22 10:00', new Date(2026, 10, 22, 10, 0).getTime()],
  ])('reads %s', (text, ms) => expect(parseTime(text, NOW)).toBe(ms));

  it.each(['', 'yesterday', '-5', '-5y', '--5m', '2026-13-99T00:00:00Z', '12', 'Nov 22'])(
    'refuses %s',
    (text) => expect(parseTime(text, NOW)).toBeUndefined(),
  );
});

describe('resolveRange', () => {
  it('falls back to the last hour when the range is empty or no time', () => {
    const hour = { fromMs: NOW - 3_600_000, toMs: NOW };
    expect(resolveRange({ from: 'junk', to: 'now' }, NOW)).toEqual(hour);
    expect(resolveRange({ from: 'now', to: '-1h' }, NOW)).toEqual(hour);
  });
});

describe('words for ranges', () => {
  it('names presets, other spans and moments', () => {
    expect(rangeLabel({ from: '-15m', to: 'now' }, NOW)).toBe('Last 15 minutes');
    expect(rangeLabel({ from: '-36h', to: 'now' }, NOW)).toBe('Last 36h');
    expect(rangeLabel({ from: '2026-11-22T10:00:00Z', to: 'now' }, NOW)).toMatch(/^Nov 2\d, .* – now$/);
  });

  it('offers a wider range until there is none', () => {
    expect(widerPreset(300_000)?.from).toBe('-1h');
    expect(widerPreset(3_600_000)?.from).toBe('-24h');
    expect(widerPreset(8 * 86_400_000)?.from).toBe('-30d');
    expect(widerPreset(40 * 86_400_000)).toBeUndefined();
  });
});
