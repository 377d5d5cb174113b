/** How the whole node is doing. */
import { queryOptions } from '@tanstack/react-query';
import { request, type Schemas } from '@/lib/api/client';

export type Status = Schemas['StatusAnswer'];
export type Partition = Schemas['PartitionBody'];

export const statusQuery = queryOptions({
  queryKey: ['status'],
  queryFn: ({ signal }) => request('get', '/api/v1/status', { project: undefined, signal }),
  refetchInterval: 5_000,
});
