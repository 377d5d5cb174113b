/** The keys of all projects. The secret part of a key is shown once, when it is made. */
import { queryOptions } from '@tanstack/react-query';
import { request, type Schemas } from '@/lib/api/client';

export type ApiKey = Schemas['KeyBody'];

export const keysQuery = queryOptions({
  queryKey: ['keys'],
  queryFn: async ({ signal }) => (await request('get', '/api/v1/keys', { project: undefined, signal })).keys,
});
