import { screen, waitFor, within } from '@testing-library/react';
import { HttpResponse, http } from 'msw';
import { expect, it } from 'vitest';
import type { Schemas } from '@/lib/api/client';
import { renderApp } from '@/testing/render-app';
import { answer, LETTER, makeRecord, problem, SESSION, STATUS, searchAnswer, server } from '@/testing/server';

const KEY: Schemas['KeyBody'] = {
  id: 'k1',
  name: 'old key',
  project: 'default',
  scopes: ['query'],
  prefix: 'dl_k1',
  created_at: '2026-11-01T00:00:00Z',
};

const ROW = {
  project: 'default',
  incarnation: 'abc',
  partition: 0,
  received: 10,
  stored: 10,
  dead_lettered: 0,
  deduplicated: 0,
  dropped: 0,
  lost: 0,
  expired: 0,
};

it('makes a key with the CSRF token and shows it once', async () => {
  let token: string | null = null;
  let body: unknown;
  server.use(
    http.get('/api/v1/keys', () => answer('KeysAnswer', { keys: [KEY] })),
    http.post('/api/v1/keys', async ({ request }) => {
      token = request.headers.get('x-csrf-token');
      body = await request.json();
      return answer('NewKeyBody', { ...KEY, id: 'k2', key: 'secret-key-text' }, 201);
    }),
  );
  const { user } = renderApp('/settings/keys');
  expect(await screen.findByText('old key')).toBeVisible();
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
    http.get('/api/v1/keys', () => answer('KeysAnswer', { keys: [KEY] })),
    http.delete('/api/v1/keys/:id', ({ params }) => {
      revoked.push(String(params.id));
      return new HttpResponse(null, { status: 204 });
    }),
  );
  const { user } = renderApp('/settings/keys');
  await user.click(await screen.findByRole('button', { name: 'Revoke key old key' }));
  expect(revoked).toEqual([]);
  await user.click(await screen.findByRole('button', { name: 'Revoke' }));
  await waitFor(() => expect(revoked).toEqual(['k1']));
});

it('lists dead letters, shows one whole, retries it and says when that fails', async () => {
  server.use(
    http.get('/api/v1/dead-letters', () =>
      answer('DeadLettersAnswer', { count: 1, dead_letters: [LETTER], next_cursor: null }),
    ),
    http.get('/api/v1/dead-letters/d1', () =>
      answer('DeadLetterBody', { ...LETTER, record: makeRecord('d1', { message: 'as long as it is' }) }),
    ),
    http.post('/api/v1/dead-letters/d1/retry', () => problem(503, { detail: 'The store is away.' })),
  );
  const { user } = renderApp('/dead-letters');
  expect(await screen.findByText('too large')).toBeVisible();
  await user.click(screen.getByRole('button', { name: 'Show all' }));
  expect(await screen.findByText(/as long as it is/)).toBeVisible();
  await user.click(screen.getByRole('button', { name: 'Retry' }));
  expect(await screen.findByRole('alert')).toHaveTextContent('The store is away.');
});

it('is glad about no dead letters', async () => {
  server.use(
    http.get('/api/v1/dead-letters', () =>
      answer('DeadLettersAnswer', { count: 0, dead_letters: [], next_cursor: null }),
    ),
  );
  renderApp('/dead-letters');
  expect(await screen.findByText('No dead letters')).toBeVisible();
});

it('shows the status, and a check that fails', async () => {
  const checks = { ...STATUS.checks, queue: 'the disk is full' };
  server.use(
    http.get('/api/v1/status', () => answer('StatusAnswer', { ...STATUS, ready: false, checks })),
    http.get('/api/v1/ledger', () =>
      answer('LedgerAnswer', { balanced: true, ledger: [ROW], partitions: [] }),
    ),
  );
  renderApp('/status');
  expect(await screen.findByText('version 1.2.3, up 1 h 2 min')).toBeVisible();
  expect(screen.getByText('3 messages behind')).toBeVisible();
  expect(screen.getByRole('alert')).toHaveTextContent('queue: the disk is full');
  expect(await screen.findByText('adds up')).toBeVisible();
});

it.each([
  { what: 'does not add up', balanced: false, lost: 0, says: 'does not add up: run devlogs verify' },
  { what: 'counts lost messages', balanced: true, lost: 2, says: 'messages were lost' },
])('raises an alarm when the ledger $what', async ({ balanced, lost, says }) => {
  let asked: string | null = null;
  server.use(
    http.get('/api/v1/ledger', ({ request }) => {
      asked = new URL(request.url).searchParams.get('project');
      const ledger = [ROW, { ...ROW, project: '', lost }];
      return answer('LedgerAnswer', { balanced, ledger, partitions: [] });
    }),
  );
  renderApp('/status');
  expect(await screen.findByText(says)).toHaveAttribute('data-good', 'false');
  expect(asked).toBe('*');
  if (lost > 0) expect(screen.getByRole('alert')).toHaveTextContent('2 messages lost.');
});

it('leads to sign-in and back to where one was', async () => {
  let signedIn = false;
  server.use(
    http.get('/api/v1/session', () =>
      signedIn ? answer('SessionBody', SESSION) : problem(401, { detail: 'Nobody is signed in.' }),
    ),
    http.post('/api/v1/session', async ({ request }) => {
      const { password } = (await request.json()) as { password: string };
      if (password !== 'right') return problem(401, { detail: 'wrong' });
      signedIn = true;
      return answer('SessionBody', SESSION);
    }),
  );
  const { user, history } = renderApp('/?q=service%3Ashop-web');
  await user.type(await screen.findByLabelText('User'), 'admin');
  await user.type(screen.getByLabelText('Password'), 'wrong');
  await user.click(screen.getByRole('button', { name: 'Sign in' }));
  expect(await screen.findByRole('alert')).toHaveTextContent('User or password is wrong.');
  await user.clear(screen.getByLabelText('Password'));
  await user.type(screen.getByLabelText('Password'), 'right');
  await user.click(screen.getByRole('button', { name: 'Sign in' }));
  expect(await screen.findByText('checkout failed r1')).toBeVisible();
  expect(history.location.href).toBe('/?q=service%3Ashop-web');
});

it('leads to sign-in when the session ends in the middle', async () => {
  server.use(http.get('/api/v1/keys', () => problem(401, { detail: 'The session is over.' })));
  const { history } = renderApp('/settings/keys');
  await screen.findByRole('heading', { name: 'Sign in' });
  expect(history.location.search).toContain('next=%2Fsettings%2Fkeys');
});

it('turns the wait for the first record into a success', async () => {
  let sent = false;
  server.use(
    http.get('/api/v1/session', () => answer('SessionBody', { ...SESSION, dev: true, user: 'dev' })),
    http.get('/api/v1/search', () => searchAnswer(sent ? [makeRecord('first')] : [])),
  );
  renderApp('/start');
  expect(await screen.findByText('Waiting for your first record…')).toBeVisible();
  expect(screen.getByText(/None is needed/)).toBeVisible();
  sent = true;
  expect(await screen.findByText('Records are arriving')).toBeVisible();
});

it('has a page for an address without one', async () => {
  renderApp('/nowhere');
  expect(await screen.findByText('There is no page here')).toBeVisible();
});
