/** One record with its neighbours in time; with none asked for, the record alone (for links to records). */
import { queryOptions } from '@tanstack/react-query';
import { type Project, request } from '@/lib/api/client';

interface ContextInput {
  id: string;
  /** How many records before, and as many after. */
  neighbours: number;
  /** Names of the fields that neighbours share with the record, such as `service,host`; undefined for all. */
  same: string | undefined;
}

export function contextQuery(project: Project, { id, neighbours, same }: ContextInput) {
  return queryOptions({
    queryKey: ['context', project, id, neighbours, same],
    queryFn: ({ signal }) => {
      const query = { before: neighbours, after: neighbours, same };
      return request('get', '/api/v1/context/{id}', { project, path: { id }, query, signal });
    },
    staleTime: 60_000,
  });
}
