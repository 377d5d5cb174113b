/** The most frequent values of a field among the matches of a query. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { asNumber, asObject, isObject, narrowList } from '@/lib/narrow';
import { valueText } from '@/lib/text';
import type { ResolvedRange } from '@/lib/time/range';

export interface ValueCount {
  /** As text; null where records lack the field. */
  value: string | null;
  count: number;
}

export function fieldValuesQuery(name: string, query: string, resolved: ResolvedRange, limit: number) {
  const { fromMs, toMs } = resolved;
  return queryOptions({
    queryKey: ['field-values', name, query, fromMs, toMs, limit],
    queryFn: async ({ signal }) => {
      const params = { q: query, from: fromMs, to: toMs, limit };
      const path = `/api/v1/fields/${encodeURIComponent(name)}/values`;
      return narrowList(asObject(await request(path, { params, signal })).values, narrowValue);
    },
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

function narrowValue(item: unknown): ValueCount | undefined {
  if (!isObject(item)) return undefined;
  const count = asNumber(item.count) ?? 0;
  return { value: item.value === null || item.value === undefined ? null : valueText(item.value), count };
}
