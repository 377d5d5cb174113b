/** The names of fields and attributes that records of a range carry. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { type Project, request, type Schemas } from '@/lib/api/client';
import { type ResolvedRange, timeQuery } from '@/lib/time/range';

export type FieldInfo = Schemas['FieldBody'];

/** By falling coverage. */
export function fieldsQuery(project: Project, resolved: ResolvedRange) {
  const query = timeQuery(resolved);
  return queryOptions({
    queryKey: ['fields', project, query],
    queryFn: async ({ signal }) =>
      (await request('get', '/api/v1/fields', { project, query, signal })).fields,
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
}
