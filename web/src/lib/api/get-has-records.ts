/** Whether the project holds any record at all: decides between "nothing matched" and "send your first record". */
import { queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { asObject, narrowList } from '@/lib/narrow';
import { narrowRecord } from '@/lib/record';

const EPOCH = '1970-01-01T00:00:00Z';
/** A day ahead, since clocks of senders may be fast. */
const AHEAD_MS = 86_400_000;

export const hasRecordsQuery = queryOptions({
  queryKey: ['has-records'],
  queryFn: async ({ signal }) => {
    const params = { q: '', from: EPOCH, to: new Date(Date.now() + AHEAD_MS).toISOString(), limit: 1 };
    const body = asObject(await request('/api/v1/search', { params, signal }));
    return narrowList(body.records, narrowRecord).at(0) ?? null;
  },
});
