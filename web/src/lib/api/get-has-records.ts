/** Whether the project holds any record at all: decides between "nothing matched" and "send your first record". */
import { queryOptions } from '@tanstack/react-query';
import { type Project, request } from '@/lib/api/client';

const EPOCH = '1970-01-01T00:00:00Z';
/** A day ahead, since clocks of senders may be fast. */
const AHEAD_MS = 86_400_000;

export function hasRecordsQuery(project: Project) {
  return queryOptions({
    queryKey: ['has-records', project],
    queryFn: async ({ signal }) => {
      const query = { from: EPOCH, to: new Date(Date.now() + AHEAD_MS).toISOString(), limit: 1 };
      const { records } = await request('get', '/api/v1/search', { project, query, signal });
      return records.at(0) ?? null;
    },
  });
}
