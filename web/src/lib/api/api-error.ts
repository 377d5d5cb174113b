/** The error of a request: an answer of `application/problem+json`, or no answer at all. */
import { asNumber, asObject, asString } from '@/lib/narrow';

interface ApiErrorInit {
  status: number;
  code?: string;
  position?: number;
  hint?: string;
  retryAfterSeconds?: number;
}

export class ApiError extends Error {
  /** HTTP status; 0 when the server was not reached. */
  readonly status: number;
  readonly code: string | undefined;
  /** Where a query can't be read: 0-based, in characters. */
  readonly position: number | undefined;
  readonly hint: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, init: ApiErrorInit) {
    super(message);
    this.name = 'ApiError';
    this.status = init.status;
    this.code = init.code;
    this.position = init.position;
    this.hint = init.hint;
    this.retryAfterSeconds = init.retryAfterSeconds;
  }
}

/** Reads a problem document; any other body still gives an error with the status in its text. */
export function problemToError(status: number, body: unknown, retryAfter: string | null): ApiError {
  const problem = asObject(body);
  const message = asString(problem.detail) ?? asString(problem.title) ?? `The server answered ${status}.`;
  return new ApiError(message, {
    status,
    code: asString(problem.code),
    position: asNumber(problem.position),
    hint: asString(problem.hint),
    retryAfterSeconds: asNumber(retryAfter),
  });
}

export function isStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.status === status;
}
