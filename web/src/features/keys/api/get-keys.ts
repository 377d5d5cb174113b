/** The project's keys. */
import { queryOptions } from '@tanstack/react-query';
import { narrowKey } from '@/features/keys/api/keys';
import { request } from '@/lib/api/client';
import { asObject, narrowList } from '@/lib/narrow';

export const keysQuery = queryOptions({
  queryKey: ['keys'],
  queryFn: async ({ signal }) =>
    narrowList(asObject(await request('/api/v1/keys', { signal })).keys, narrowKey),
});
