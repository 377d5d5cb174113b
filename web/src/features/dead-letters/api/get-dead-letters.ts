/** Records that could not be stored, page by page, newest first. */
import { infiniteQueryOptions } from '@tanstack/react-query';
import { type Project, request, type Schemas } from '@/lib/api/client';

const PAGE_LETTERS = 50;

export type DeadLetter = Schemas['DeadLetterBody'];

export function deadLettersQuery(project: Project) {
  return infiniteQueryOptions({
    queryKey: ['dead-letters', project],
    queryFn: ({ pageParam: cursor, signal }) =>
      request('get', '/api/v1/dead-letters', { project, query: { limit: PAGE_LETTERS, cursor }, signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
}
