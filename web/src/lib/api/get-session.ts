/** Who is signed in: asked once at start, and again when the server answers 401. */
import { queryOptions } from '@tanstack/react-query';
import { request, type Schemas } from '@/lib/api/client';
import { setCsrfToken } from '@/lib/api/csrf';

export type Session = Schemas['SessionBody'];

/** Keeps the session's CSRF token for the requests that follow. */
export function enterSession(session: Session): Session {
  setCsrfToken(session.csrf_token);
  return session;
}

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: async ({ signal }) =>
    enterSession(await request('get', '/api/v1/session', { project: undefined, signal })),
  staleTime: Number.POSITIVE_INFINITY,
  retry: false,
});
