/** Records that could not be stored, page by page, newest first. */
import { infiniteQueryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { asNumber, asObject, asString, isObject, type JsonObject, narrowList } from '@/lib/narrow';
import { narrowRecord } from '@/lib/record';
import { valueText } from '@/lib/text';

const PAGE_LETTERS = 50;

export interface DeadLetter {
  id: string;
  project: string;
  reason: string;
  /** When it was put aside, RFC 3339. */
  at: string;
  attempts: number | undefined;
  service: string | undefined;
  level: string | undefined;
  /** The record's message, or whatever there is of the record, as text. */
  message: string;
  raw: JsonObject;
}

export interface DeadLetterPage {
  letters: DeadLetter[];
  nextCursor: string | undefined;
}

export const deadLettersQuery = infiniteQueryOptions({
  queryKey: ['dead-letters'],
  queryFn: async ({ pageParam, signal }): Promise<DeadLetterPage> => {
    const params = { limit: PAGE_LETTERS, cursor: pageParam };
    const body = asObject(await request('/api/v1/dead-letters', { params, signal }));
    return { letters: narrowList(body.dead_letters, narrowLetter), nextCursor: asString(body.next_cursor) };
  },
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (page) => page.nextCursor,
});

function narrowLetter(value: unknown): DeadLetter | undefined {
  if (!isObject(value)) return undefined;
  const id = typeof value.id === 'number' ? String(value.id) : asString(value.id);
  if (id === undefined) return undefined;
  const record = narrowRecord(isObject(value.record) ? { id, ...value.record } : undefined);
  return {
    id,
    project: asString(value.project) ?? '',
    reason: asString(value.reason) ?? 'no reason given',
    at: asString(value.at) ?? '',
    attempts: asNumber(value.attempts),
    service: record?.service,
    level: record?.level,
    message: record?.message ?? valueText(value.record),
    raw: value,
  };
}
