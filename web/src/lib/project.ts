/** The project that the page looks at, as the URL names it. */
import { useSearch } from '@tanstack/react-router';
import type { Project } from '@/lib/api/client';
import type { UrlSearch } from '@/lib/router/search-text';

/** What the server takes when a request names no project; left out of the URL, too. */
export const DEFAULT_PROJECT = 'default';

/** Undefined for the default project. */
export function useProject(): Project {
  const { project } = useSearch({ strict: false }) as UrlSearch;
  return project === DEFAULT_PROJECT || project === '' ? undefined : project;
}
