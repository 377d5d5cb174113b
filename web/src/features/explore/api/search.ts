/** Search results page by page. The cursor freezes range and query, so pages neither overlap nor miss a record. */
import { infiniteQueryOptions, keepPreviousData } from '@tanstack/react-query';
import type { Order } from '@/features/explore/state/url-state';
import { type Project, request, type Schemas } from '@/lib/api/client';
import { type ResolvedRange, timeQuery } from '@/lib/time/range';

export const PAGE_RECORDS = 250;

export type SearchPage = Schemas['SearchAnswer'];

interface SearchInput {
  query: string;
  resolved: ResolvedRange;
  order: Order;
}

export function searchQuery(project: Project, { query: q, resolved, order }: SearchInput) {
  const query = { q, ...timeQuery(resolved), order, limit: PAGE_RECORDS };
  return infiniteQueryOptions({
    queryKey: ['search', project, query],
    queryFn: ({ pageParam: cursor, signal }) =>
      request('get', '/api/v1/search', { project, query: { ...query, cursor }, signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    // Thousands of records a page: let go of them soon.
    gcTime: 60_000,
  });
}
