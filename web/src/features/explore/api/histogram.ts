/** Counts over time by level. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { type Project, request, type Schemas } from '@/lib/api/client';
import { emptySums, type LevelGroup, levelGroup } from '@/lib/level';
import { type ResolvedRange, timeQuery } from '@/lib/time/range';

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

export function histogramQuery(project: Project, q: string, resolved: ResolvedRange) {
  const query = { q, ...timeQuery(resolved), buckets: HISTOGRAM_BUCKETS, group_by: 'level' };
  return queryOptions({
    queryKey: ['histogram', project, query],
    queryFn: async ({ signal }) =>
      histogramData(await request('get', '/api/v1/histogram', { project, query, signal })),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

function histogramData(answer: Schemas['HistogramAnswer']): HistogramData {
  const buckets = answer.buckets.map(levelBucket);
  return {
    intervalMs: answer.interval_ms,
    buckets,
    total: buckets.reduce((sum, bucket) => sum + bucket.count, 0),
  };
}

function levelBucket({ start, count, groups = {} }: Schemas['BucketBody']): Bucket {
  const levels = emptySums();
  let grouped = 0;
  for (const [name, records] of Object.entries(groups)) {
    levels[levelGroup(name)] += records;
    grouped += records;
  }
  levels.none += Math.max(0, count - grouped);
  return { startMs: Date.parse(start), count, levels };
}
