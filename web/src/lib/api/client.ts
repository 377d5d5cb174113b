/** The only place that calls `fetch`: same origin, session cookie, CSRF token on every change. */
import { ApiError, problemToError } from '@/lib/api/api-error';
import { csrfToken } from '@/lib/api/csrf';

export type Params = Record<string, string | number | undefined>;

interface RequestOptions {
  method?: 'GET' | 'POST' | 'DELETE';
  params?: Params;
  body?: unknown;
  signal?: AbortSignal;
}

/** The path with its query text; members that are undefined are left out. */
export function apiUrl(path: string, params: Params = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? path : `${path}?${text}`;
}

/** Sends a request and answers its JSON body, untyped (`null` for an empty one); throws `ApiError` or the abort. */
export async function request(path: string, options: RequestOptions = {}): Promise<unknown> {
  const { method = 'GET', params, body, signal } = options;
  const headers = new Headers({ accept: 'application/json' });
  if (body !== undefined) headers.set('content-type', 'application/json');
  if (method !== 'GET') headers.set('x-csrf-token', csrfToken());
  const response = await send(apiUrl(path, params), {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: 'same-origin',
    signal,
  });
  const answer = await readJson(response);
  if (!response.ok) throw problemToError(response.status, answer, response.headers.get('retry-after'));
  return answer;
}

async function send(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError('The server can’t be reached. Is devlogs running?', { status: 0 });
  }
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text();
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    if (!response.ok) return null;
    throw new ApiError('The server’s answer is not JSON. Is something else on this address?', {
      status: response.status,
    });
  }
}
