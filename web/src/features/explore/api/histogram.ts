/** Counts over time by level. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { emptySums, type LevelGroup, levelGroup } from '@/lib/level';
import { asNumber, asObject, isObject, narrowList } from '@/lib/narrow';
import type { ResolvedRange } from '@/lib/time/range';

/** Bars that a histogram of a search asks for; the server picks a round interval near it. */
export const HISTOGRAM_BUCKETS = 80;

export interface Bucket {
  startMs: number;
  count: number;
  /** Adds up to `count`. */
  levels: Record<LevelGroup, number>;
}

export interface HistogramData {
  intervalMs: number;
  buckets: Bucket[];
  total: number;
}

export function histogramQuery(query: string, resolved: ResolvedRange, buckets: number) {
  const { fromMs, toMs } = resolved;
  return queryOptions({
    queryKey: ['histogram', query, fromMs, toMs, buckets],
    queryFn: async ({ signal }) => {
      const params = { q: query, from: fromMs, to: toMs, buckets, group_by: 'level' };
      return narrowHistogram(await request('/api/v1/histogram', { params, signal }));
    },
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function narrowHistogram(body: unknown): HistogramData {
  const answer = asObject(body);
  const buckets = narrowList(answer.buckets, narrowBucket);
  return {
    intervalMs: asNumber(answer.interval_ms) ?? 60_000,
    buckets,
    total: buckets.reduce((sum, bucket) => sum + bucket.count, 0),
  };
}

function narrowBucket(value: unknown): Bucket | undefined {
  if (!isObject(value)) return undefined;
  const startMs = typeof value.start === 'string' ? Date.parse(value.start) : asNumber(value.start);
  if (startMs === undefined || Number.isNaN(startMs)) return undefined;
  const count = asNumber(value.count) ?? 0;
  const levels = emptySums();
  let grouped = 0;
  for (const [name, amount] of Object.entries(asObject(value.groups))) {
    const records = asNumber(amount) ?? 0;
    levels[levelGroup(name)] += records;
    grouped += records;
  }
  levels.none += Math.max(0, count - grouped);
  return { startMs, count, levels };
}
