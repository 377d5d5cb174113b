/** The API as the component tests see it: a small project with three records. Tests replace single answers. */
import { HttpResponse, http, type JsonBodyType } from 'msw';
import { setupServer } from 'msw/node';
import type { Schemas } from '@/lib/api/client';
import type { LogRecord } from '@/lib/record';

/** An answer that the OpenAPI document allows. */
export function answer<Name extends keyof Schemas>(_: Name, body: Schemas[Name], status = 200) {
  return HttpResponse.json(body as JsonBodyType, { status });
}

export function makeRecord(id: string, patch: Partial<LogRecord> = {}): LogRecord {
  return {
    id,
    timestamp: '2026-11-22T10:00:00.123456789Z',
    observed_timestamp: '2026-11-22T10:00:00.2Z',
    project: 'default',
    service: 'shop-web',
    host: 'web-1',
    level: 'error',
    severity_number: 17,
    message: `checkout failed ${id}`,
    attributes: { 'http.status_code': 502, tags: ['a', 'b'] },
    resource: { 'k8s.pod.name': 'shop-1' },
    ...patch,
  };
}

export const RECORDS = [
  makeRecord('r1'),
  makeRecord('r2', { level: 'info', message: 'cart <b>updated</b>' }),
  makeRecord('r3'),
];

export function problem(status: number, members: Record<string, unknown>) {
  return HttpResponse.json({ status, ...members }, { status });
}

export const STATS: Schemas['StatsBody'] = {
  matched: 3,
  scanned_rows: 1200,
  scanned_bytes: 4096,
  elapsed_ms: 2,
};

export function searchAnswer(records: LogRecord[]) {
  return answer('SearchAnswer', { records, next_cursor: null, stats: STATS });
}

export const STATUS: Schemas['StatusAnswer'] = {
  version: '1.2.3',
  dev: false,
  uptime_seconds: 3_725,
  ready: true,
  checks: { metadata: 'ok', queue: 'ok', store: 'ok' },
  addresses: { collector: 'http://collector.example:4318' },
  store: { backend: 'embedded', rows: 7, bytes: 700, segments: 1, buffered_rows: 2 },
  queue: {
    incarnation: 'abc',
    partitions: [
      {
        incarnation: 'abc',
        partition: 0,
        oldest: 0,
        next: 10,
        written: 7,
        durable: 5,
        waiting_messages: 3,
        bytes: 2048,
      },
    ],
  },
  dead_letters: 0,
};

export const LETTER: Schemas['DeadLetterBody'] = {
  id: 'd1',
  project: 'default',
  reason: 'too large',
  at: '2026-11-22T10:00:00Z',
  received: '2026-11-22T09:59:00Z',
  incarnation: 'abc',
  partition: 0,
  position: 41,
  index: 0,
  payload_bytes: 3_000_000,
  record: null,
};

export const SESSION: Schemas['SessionBody'] = {
  user: 'admin',
  csrf_token: 'token-1',
  projects: ['default'],
};

export const server = setupServer(
  http.get('/api/v1/session', () => answer('SessionBody', SESSION)),
  http.get('/api/v1/search', () => searchAnswer(RECORDS)),
  http.get('/api/v1/histogram', () =>
    answer('HistogramAnswer', {
      interval_ms: 60_000,
      buckets: [{ start: '2026-11-22T10:00:00Z', count: 3, groups: { error: 2, info: 1 } }],
      stats: STATS,
    }),
  ),
  http.get('/api/v1/fields', () =>
    answer('FieldsAnswer', {
      fields: [
        { name: 'level', type: 'string', coverage: 1 },
        { name: 'service', type: 'string', coverage: 1 },
        { name: 'http.status_code', type: 'int', coverage: 0.4 },
      ],
    }),
  ),
  http.get('/api/v1/fields/:name/values', ({ params }) =>
    answer('ValuesAnswer', {
      values: params.name === 'level' ? [{ value: 'error', count: 2 }] : [{ value: 'shop-web', count: 3 }],
    }),
  ),
  http.get('/api/v1/context/:id', ({ params }) =>
    answer('ContextAnswer', {
      before: [makeRecord('b1', { message: 'just before' })],
      record: makeRecord(String(params.id)),
      after: [makeRecord('a1', { message: 'just after' })],
    }),
  ),
  http.get('/api/v1/status', () => answer('StatusAnswer', STATUS)),
);
