import { screen, waitFor, within } from '@testing-library/react';
import { HttpResponse, http } from 'msw';
import { expect, it } from 'vitest';
import { renderApp } from '@/testing/render-app';
import { makeRecord, problem, server } from '@/testing/server';

const wait = { timeout: 8_000 };

it('makes a key with the CSRF token and shows it once', async () => {
  let token: string | null = null;
  let body: unknown;
  const keys = [
    { id: 'k1', name: 'old key', project: 'default', scopes: ['query'], created_at: '2026-11-01T00:00:00Z' },
  ];
  server.use(
    http.get('/api/v1/keys', () => HttpResponse.json({ keys })),
    http.post('/api/v1/keys', async ({ request }) => {
      token = request.headers.get('x-csrf-token');
      body = await request.json();
      return HttpResponse.json({ id: 'k2', key: 'secret-key-text' }, { status: 201 });
    }),
  );
  const { user } = renderApp('/settings/keys');
  expect(await screen.findByText('old key', undefined, wait)).toBeVisible();
  await user.click(screen.getByRole('button', { name: 'Create key' }));
  const dialog = await screen.findByRole('dialog', { name: 'Create a key' });
  await user.type(within(dialog).getByLabelText('Name'), 'shop-web');
  await user.click(within(dialog).getByRole('button', { name: 'Create key' }));
  expect(await screen.findByTestId('new-key')).toHaveTextContent('secret-key-text');
  expect(token).toBe('token-1');
  expect(body).toEqual({ name: 'shop-web', project: 'default', scopes: ['ingest'] });
});

it('asks before it revokes a key', async () => {
  const revoked: string[] = [];
  server.use(
    http.get('/api/v1/keys', () => HttpResponse.json({ keys: [{ id: 'k1', name: 'mine' }] })),
    http.delete('/api/v1/keys/:id', ({ params }) => {
      revoked.push(String(params.id));
      return new HttpResponse(null, { status: 204 });
    }),
  );
  const { user } = renderApp('/settings/keys');
  await user.click(await screen.findByRole('button', { name: 'Revoke key mine' }, wait));
  expect(revoked).toEqual([]);
  await user.click(await screen.findByRole('button', { name: 'Revoke' }));
  await waitFor(() => expect(revoked).toEqual(['k1']));
});

it('lists dead letters, retries one and says when that fails', async () => {
  server.use(
    http.get('/api/v1/dead-letters', () =>
      HttpResponse.json({
        dead_letters: [
          { id: 'd1', project: 'default', reason: 'too large', at: '2026-11-22T10:00:00Z', record: null },
        ],
        next_cursor: null,
      }),
    ),
    http.post('/api/v1/dead-letters/d1/retry', () => problem(503, { detail: 'The store is away.' })),
  );
  const { user } = renderApp('/dead-letters');
  expect(await screen.findByText('too large', undefined, wait)).toBeVisible();
  await user.click(screen.getByRole('button', { name: 'Retry' }));
  expect(await screen.findByRole('alert')).toHaveTextContent('The store is away.');
});

it('is glad about no dead letters', async () => {
  server.use(
    http.get('/api/v1/dead-letters', () => HttpResponse.json({ dead_letters: [], next_cursor: null })),
  );
  renderApp('/dead-letters');
  expect(await screen.findByText('No dead letters', undefined, wait)).toBeVisible();
});

it('shows the status with what it does not know, and a ledger that does not add up', async () => {
  server.use(
    http.get('/api/v1/status', () =>
      HttpResponse.json({
        version: '9.9.9',
        ready: true,
        queue: { partitions: [{ partition: 0, next: 10, written: 7, waiting_messages: 3, bytes: 2048 }] },
        store: { backend: 'embedded', rows: 7 },
        weather: 'fine',
      }),
    ),
    http.get('/api/v1/ledger', () =>
      HttpResponse.json({ ledger: [{ project: 'default', partition: 0, received: 10, stored: 7 }] }),
    ),
  );
  renderApp('/status');
  expect(await screen.findByText('version 9.9.9', undefined, wait)).toBeVisible();
  expect(screen.getByText('3 messages behind')).toBeVisible();
  expect(screen.getByText('fine')).toBeVisible();
  expect(await screen.findByText(/does not add up/)).toBeVisible();
});

it('leads to sign-in and back to where one was', async () => {
  let signedIn = false;
  server.use(
    http.get('/api/v1/session', () =>
      signedIn
        ? HttpResponse.json({ user: 'admin', csrf_token: 't', projects: [] })
        : problem(401, { detail: 'Nobody is signed in.' }),
    ),
    http.post('/api/v1/session', async ({ request }) => {
      const { password } = (await request.json()) as { password: string };
      if (password !== 'right') return problem(401, { detail: 'wrong' });
      signedIn = true;
      return HttpResponse.json({ user: 'admin', csrf_token: 't', projects: ['default'] });
    }),
  );
  const { user, history } = renderApp('/?q=service%3Ashop-web');
  await user.type(await screen.findByLabelText('User', undefined, wait), 'admin');
  await user.type(screen.getByLabelText('Password'), 'wrong');
  await user.click(screen.getByRole('button', { name: 'Sign in' }));
  expect(await screen.findByRole('alert')).toHaveTextContent('User or password is wrong.');
  await user.clear(screen.getByLabelText('Password'));
  await user.type(screen.getByLabelText('Password'), 'right');
  await user.click(screen.getByRole('button', { name: 'Sign in' }));
  expect(await screen.findByText('checkout failed r1', undefined, wait)).toBeVisible();
  expect(history.location.href).toBe('/?q=service%3Ashop-web');
});

it('leads to sign-in when the session ends in the middle', async () => {
  server.use(http.get('/api/v1/keys', () => problem(401, { detail: 'The session is over.' })));
  const { history } = renderApp('/settings/keys');
  await screen.findByRole('heading', { name: 'Sign in' }, wait);
  expect(history.location.search).toContain('next=%2Fsettings%2Fkeys');
});

it('turns the wait for the first record into a success', async () => {
  let sent = false;
  server.use(
    http.get('/api/v1/session', () => HttpResponse.json({ dev: true, user: 'dev' })),
    http.get('/api/v1/search', () =>
      HttpResponse.json({ records: sent ? [makeRecord('first')] : [], next_cursor: null, stats: {} }),
    ),
  );
  renderApp('/start');
  expect(await screen.findByText('Waiting for your first record…', undefined, wait)).toBeVisible();
  expect(screen.getByText(/None is needed/)).toBeVisible();
  sent = true;
  expect(await screen.findByText('Records are arriving', undefined, wait)).toBeVisible();
});

it('has a page for an address without one', async () => {
  renderApp('/nowhere');
  expect(await screen.findByText('There is no page here', undefined, wait)).toBeVisible();
});
