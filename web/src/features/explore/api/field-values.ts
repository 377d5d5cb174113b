/** The most frequent values of a field among the matches of a query. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { type Project, request } from '@/lib/api/client';
import { valueText } from '@/lib/text';
import { type ResolvedRange, timeQuery } from '@/lib/time/range';

export interface ValueCount {
  /** As text; null where records lack the field. */
  value: string | null;
  count: number;
}

interface FieldValuesInput {
  name: string;
  query: string;
  resolved: ResolvedRange;
  limit: number;
}

export function fieldValuesQuery(project: Project, input: FieldValuesInput) {
  const { name, limit } = input;
  const query = { q: input.query, ...timeQuery(input.resolved), limit };
  return queryOptions({
    queryKey: ['field-values', project, name, query],
    queryFn: async ({ signal }): Promise<ValueCount[]> => {
      const path = { name };
      const { values } = await request('get', '/api/v1/fields/{name}/values', {
        project,
        path,
        query,
        signal,
      });
      return values.map(({ value, count }) => ({ value: value === null ? null : valueText(value), count }));
    },
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
}
