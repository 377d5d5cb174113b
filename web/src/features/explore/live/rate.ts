/** Arrivals in the last minute by second and level: the rate, and the live histogram. */
import type { Bucket } from '@/features/explore/api/histogram';
import { emptySums, levelGroup } from '@/lib/level';
import type { LogRecord } from '@/lib/record';

export const WINDOW_SECONDS = 60;
/** The rate is the mean of this many whole seconds: calm to read, quick to follow. */
const RATE_SECONDS = 5;

export type Arrivals = ReadonlyMap<number, Bucket>;

export function countArrivals(arrivals: Arrivals, records: readonly LogRecord[], nowMs: number): Arrivals {
  const second = Math.floor(nowMs / 1000);
  const next = new Map([...arrivals].filter(([start]) => start > second - WINDOW_SECONDS));
  const old = next.get(second);
  const bucket: Bucket = {
    startMs: second * 1000,
    count: (old?.count ?? 0) + records.length,
    levels: { ...(old?.levels ?? emptySums()) },
  };
  for (const record of records) bucket.levels[levelGroup(record.level)] += 1;
  next.set(second, bucket);
  return next;
}

/** Records a second over the last whole seconds. */
export function arrivalRate(arrivals: Arrivals, nowMs: number): number {
  const second = Math.floor(nowMs / 1000);
  let count = 0;
  for (let ago = 1; ago <= RATE_SECONDS; ago += 1) count += arrivals.get(second - ago)?.count ?? 0;
  return count / RATE_SECONDS;
}

/** One bucket a second for the whole window, empty ones too. */
export function arrivalBuckets(arrivals: Arrivals, nowMs: number): Bucket[] {
  const second = Math.floor(nowMs / 1000);
  return Array.from({ length: WINDOW_SECONDS }, (_, index) => {
    const start = second - WINDOW_SECONDS + 1 + index;
    return arrivals.get(start) ?? { startMs: start * 1000, count: 0, levels: emptySums() };
  });
}
