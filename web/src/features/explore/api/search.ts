/** Search results page by page. The cursor freezes range and query, so pages neither overlap nor miss a record. */
import { infiniteQueryOptions, keepPreviousData } from '@tanstack/react-query';
import type { Order } from '@/features/explore/state/url-state';
import { request } from '@/lib/api/client';
import { asNumber, asObject, asString, narrowList } from '@/lib/narrow';
import { type LogRecord, narrowRecord } from '@/lib/record';
import type { ResolvedRange } from '@/lib/time/range';

export const PAGE_RECORDS = 250;

export interface SearchStats {
  matched: number | undefined;
  scannedRows: number | undefined;
  scannedBytes: number | undefined;
  elapsedMs: number | undefined;
}

export interface SearchPage {
  records: LogRecord[];
  nextCursor: string | undefined;
  stats: SearchStats;
}

export interface SearchInput {
  query: string;
  resolved: ResolvedRange;
  order: Order;
}

export function searchQuery({ query, resolved, order }: SearchInput) {
  const { fromMs, toMs } = resolved;
  return infiniteQueryOptions({
    queryKey: ['search', query, fromMs, toMs, order],
    queryFn: async ({ pageParam, signal }) => {
      const params = { q: query, from: fromMs, to: toMs, limit: PAGE_RECORDS, order, cursor: pageParam };
      return narrowSearchPage(await request('/api/v1/search', { params, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.nextCursor,
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    // Thousands of records a page: let go of them soon.
    gcTime: 60_000,
  });
}

export function narrowSearchPage(body: unknown): SearchPage {
  const answer = asObject(body);
  const stats = asObject(answer.stats);
  return {
    records: narrowList(answer.records, narrowRecord),
    nextCursor: asString(answer.next_cursor),
    stats: {
      matched: asNumber(stats.matched),
      scannedRows: asNumber(stats.scanned_rows),
      scannedBytes: asNumber(stats.scanned_bytes),
      elapsedMs: asNumber(stats.elapsed_ms),
    },
  };
}
