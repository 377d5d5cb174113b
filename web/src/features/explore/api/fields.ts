/** The names of fields and attributes that records of a range carry. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { asNumber, asObject, asString, isObject, narrowList } from '@/lib/narrow';
import type { ResolvedRange } from '@/lib/time/range';

export interface FieldInfo {
  name: string;
  type: string;
  /** Share of the records that have it, 0 to 1. */
  coverage: number;
}

export function fieldsQuery(resolved: ResolvedRange, query = '') {
  const { fromMs, toMs } = resolved;
  return queryOptions({
    queryKey: ['fields', query, fromMs, toMs],
    queryFn: async ({ signal }) => {
      const body = await request('/api/v1/fields', { params: { q: query, from: fromMs, to: toMs }, signal });
      return narrowList(asObject(body).fields, narrowField).sort((a, b) => b.coverage - a.coverage);
    },
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

function narrowField(value: unknown): FieldInfo | undefined {
  if (!isObject(value)) return undefined;
  const name = asString(value.name);
  if (name === undefined) return undefined;
  return { name, type: asString(value.type) ?? '', coverage: asNumber(value.coverage) ?? 0 };
}
