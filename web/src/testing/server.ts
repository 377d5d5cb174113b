/** The API as the component tests see it: a small project with three records. Tests replace single answers. */
import { HttpResponse, http } from 'msw';
import { setupServer } from 'msw/node';

export function makeRecord(id: string, patch: Record<string, unknown> = {}) {
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

export const server = setupServer(
  http.get('/api/v1/session', () =>
    HttpResponse.json({ user: 'admin', csrf_token: 'token-1', projects: ['default'] }),
  ),
  http.get('/api/v1/search', () =>
    HttpResponse.json({
      records: RECORDS,
      next_cursor: null,
      stats: { matched: 3, scanned_rows: 1200, scanned_bytes: 4096, elapsed_ms: 2.5 },
    }),
  ),
  http.get('/api/v1/histogram', () =>
    HttpResponse.json({
      interval_ms: 60_000,
      buckets: [{ start: '2026-11-22T10:00:00Z', count: 3, groups: { error: 2, info: 1 } }],
    }),
  ),
  http.get('/api/v1/fields', () =>
    HttpResponse.json({
      fields: [
        { name: 'level', type: 'string', coverage: 1 },
        { name: 'service', type: 'string', coverage: 1 },
        { name: 'http.status_code', type: 'number', coverage: 0.4 },
      ],
    }),
  ),
  http.get('/api/v1/fields/:name/values', ({ params }) =>
    HttpResponse.json({
      values: params.name === 'level' ? [{ value: 'error', count: 2 }] : [{ value: 'shop-web', count: 3 }],
    }),
  ),
  http.get('/api/v1/context/:id', ({ params }) =>
    HttpResponse.json({
      before: [makeRecord('b1', { message: 'just before' })],
      record: makeRecord(String(params.id)),
      after: [makeRecord('a1', { message: 'just after' })],
    }),
  ),
  http.get('/api/v1/status', () => HttpResponse.json({ version: '1.2.3' })),
);
