/** Who is signed in: asked once at start, and again when the server answers 401. */
import { queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { setCsrfToken } from '@/lib/api/csrf';
import { asArray, asObject, asString, isObject } from '@/lib/narrow';

export interface Session {
  user: string;
  /** True when the server runs with `--dev`: no sign-in, no key needed. */
  dev: boolean;
  projects: string[];
}

/** Reads a session answer and keeps its CSRF token for the requests that follow. */
export function narrowSession(body: unknown): Session {
  const answer = asObject(body);
  setCsrfToken(asString(answer.csrf_token) ?? '');
  return {
    user: asString(answer.user) ?? '',
    dev: answer.dev === true,
    projects: asArray(answer.projects).flatMap(projectName),
  };
}

/** A project comes as its name, or as an object with a name. */
function projectName(value: unknown): string[] {
  const name = isObject(value) ? asString(value.name) : asString(value);
  return name === undefined ? [] : [name];
}

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: async ({ signal }) => narrowSession(await request('/api/v1/session', { signal })),
  staleTime: Number.POSITIVE_INFINITY,
  retry: false,
});
