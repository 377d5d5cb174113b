/** The project's keys. The secret part of a key is shown once, when it is made. */
import { queryOptions } from '@tanstack/react-query';
import { type Project, request, type Schemas } from '@/lib/api/client';

export type ApiKey = Schemas['KeyBody'];

export function keysQuery(project: Project) {
  return queryOptions({
    queryKey: ['keys', project],
    queryFn: async ({ signal }) => (await request('get', '/api/v1/keys', { project, signal })).keys,
  });
}
