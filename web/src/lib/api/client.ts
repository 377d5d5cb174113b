/** The only place that calls `fetch`: same origin, session cookie, CSRF token on every change; typed by the OpenAPI document. */
import { ApiError, problemToError } from '@/lib/api/api-error';
import { csrfToken } from '@/lib/api/csrf';
import type { components, paths } from '@/lib/api/generated/schema';

/** What the API's answers and bodies are made of, by the names of the OpenAPI document. */
export type Schemas = components['schemas'];

type Method = 'get' | 'post' | 'delete';

interface Operation {
  parameters: { query?: object; path?: object };
  responses: object;
}

/** The paths that take a method. */
type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, Operation> ? P : never;
}[keyof paths];

type OperationOf<M extends Method, P extends PathOf<M>> =
  paths[P] extends Record<M, infer O extends Operation> ? O : never;

type Answer<O extends Operation> = O['responses'] extends {
  [S in 200 | 201 as S extends keyof O['responses'] ? S : never]: {
    content: { 'application/json': infer Body };
  };
}
  ? Body
  : null;

/** The project that is looked at; undefined: the default one, or a request that is about none. */
export type Project = string | undefined;

type Options<O extends Operation> = Pick<O['parameters'], 'query' | 'path'> & {
  project: Project;
  signal?: AbortSignal;
} & (O extends { requestBody: { content: { 'application/json': infer Body } } }
    ? { body: Body }
    : { body?: never });

type Query = Record<string, string | number | undefined>;

/** The path with its query text; members that are undefined are left out. */
export function apiUrl<P extends PathOf<'get'>>(
  path: P,
  project: Project,
  query: OperationOf<'get', P>['parameters']['query'],
): string {
  return url(path, { ...query, project });
}

/** Sends a request and answers its JSON body (`null` for an empty one); throws `ApiError` or the abort. */
export async function request<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  { path: names, query, project, body, signal }: Options<OperationOf<M, P>>,
): Promise<Answer<OperationOf<M, P>>> {
  const headers = new Headers({ accept: 'application/json' });
  if (body !== undefined) headers.set('content-type', 'application/json');
  if (method !== 'get') headers.set('x-csrf-token', csrfToken());
  const response = await send(url(filled(path, { ...names }), { ...query, project }), {
    method: method.toUpperCase(),
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: 'same-origin',
    signal,
  });
  const answer = await readJson(response);
  if (!response.ok) throw problemToError(response.status, answer, response.headers.get('retry-after'));
  return answer as Answer<OperationOf<M, P>>;
}

/** `{id}` and its like replaced by what they stand for. */
function filled(path: string, names: Record<string, string>): string {
  return path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(names[name] ?? ''));
}

function url(path: string, query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? path : `${path}?${text}`;
}

async function send(address: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(address, init);
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
