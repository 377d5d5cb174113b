import { act, screen, waitFor } from '@testing-library/react';
import { http, ws } from 'msw';
import { expect, it } from 'vitest';
import { renderApp } from '@/testing/render-app';
import { makeRecord, searchAnswer, server } from '@/testing/server';

const tail = ws.link('ws://localhost:3000/api/v1/tail');

/** The server's side of the tail: answers `ready`, then what the test sends. */
function serveTail() {
  let send: ((message: unknown) => void) | undefined;
  const queries: string[] = [];
  server.use(
    http.get('/api/v1/search', () => searchAnswer([])),
    tail.addEventListener('connection', ({ client }) => {
      client.addEventListener('message', (event) => {
        const { q } = JSON.parse(String(event.data));
        queries.push(q);
        send = (message) => client.send(JSON.stringify(message));
        send({ type: 'ready', q });
      });
    }),
  );
  return { queries, send: (message: unknown) => act(() => send?.(message)) };
}

it('shows records as they come, holds them while paused, and counts what was dropped', async () => {
  const server = serveTail();
  const { user } = renderApp('/?live=1&q=level%3Aerror');
  await waitFor(() => expect(screen.getByTestId('tail-status')).toHaveTextContent('Live'));
  expect(server.queries).toContain('level:error');

  server.send({ type: 'records', records: [makeRecord('live-1')] });
  expect(await screen.findByText('checkout failed live-1')).toBeVisible();

  await user.keyboard('p');
  expect(screen.getByTestId('tail-status')).toHaveTextContent('Paused');
  server.send({ type: 'records', records: [makeRecord('live-1'), makeRecord('live-2')] });
  server.send({ type: 'dropped', count: 5 });
  const resume = await screen.findByRole('button', { name: 'Resume (1 waiting)' });
  expect(screen.queryByText('checkout failed live-2')).toBeNull();
  expect(screen.getByText('5 dropped')).toBeVisible();

  await user.click(resume);
  expect(await screen.findByText('checkout failed live-2')).toBeVisible();
});

it('shows what is wrong with the query of the tail', async () => {
  const server = serveTail();
  renderApp('/?live=1&q=a');
  await waitFor(() => expect(screen.getByTestId('tail-status')).toHaveTextContent('Live'));
  server.send({ type: 'error', detail: 'That is no query.', position: 0 });
  expect(await screen.findByRole('alert')).toHaveTextContent('That is no query.');
});

it('goes live and back by keyboard', async () => {
  serveTail();
  const { user, search } = renderApp('/');
  await screen.findByRole('button', { name: 'Live' });
  await user.keyboard('l');
  await waitFor(() => expect(search().get('live')).toBe('1'));
  expect(await screen.findByText('Waiting for the next record')).toBeVisible();
  await user.keyboard('l');
  await waitFor(() => expect(search().get('live')).toBeNull());
});
