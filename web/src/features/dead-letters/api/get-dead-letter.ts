/** One dead letter, whole: lists leave large records out, and what can't be decoded. */
import { queryOptions } from '@tanstack/react-query';
import { type Project, request } from '@/lib/api/client';

export function deadLetterQuery(project: Project, id: string) {
  return queryOptions({
    queryKey: ['dead-letter', project, id],
    queryFn: ({ signal }) => request('get', '/api/v1/dead-letters/{id}', { project, path: { id }, signal }),
  });
}
