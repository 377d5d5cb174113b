import { screen, waitFor, within } from '@testing-library/react';
import { HttpResponse, http } from 'msw';
import { expect, it } from 'vitest';
import { renderApp } from '@/testing/render-app';
import { makeRecord, problem, searchAnswer, server } from '@/testing/server';

it('shows the records, their count and the cost of the search', async () => {
  renderApp('/');
  const grid = await screen.findByRole('grid', { name: 'Log records' });
  expect(await within(grid).findByText('checkout failed r1')).toBeVisible();
  expect(within(grid).getByText('cart <b>updated</b>')).toBeVisible();
  expect(screen.getByTestId('stats')).toHaveTextContent(
    '3 of 3 shown · 1,200 rows scanned · 4.0 KiB · 2.0 ms',
  );
});

it('filters from the facets, and shows it in the URL', async () => {
  const { user, search } = renderApp('/');
  await user.click(await screen.findByRole('checkbox', { name: /^level error/ }));
  await waitFor(() => expect(search().get('q')).toBe('level:error'));
  await user.click(screen.getByRole('button', { name: 'Exclude level error' }));
  await waitFor(() => expect(search().get('q')).toBe('-level:error'));
});

it('opens a record, filters for a value of it and closes it', async () => {
  const { user, search } = renderApp('/');
  await user.click(await screen.findByText('checkout failed r1'));
  const detail = await screen.findByTestId('record-detail');
  expect(search().get('record')).toBe('r1');
  expect(within(detail).getByText('k8s.pod.name')).toBeVisible();
  await user.click(within(detail).getByRole('button', { name: 'Filter for http.status_code' }));
  await waitFor(() => expect(search().get('q')).toBe('http.status_code:502'));
  await user.click(within(detail).getByRole('button', { name: 'Add column http.status_code' }));
  await waitFor(() => expect(search().get('columns')).toContain('http.status_code'));
  await user.keyboard('{Escape}');
  await waitFor(() => expect(search().get('record')).toBeNull());
});

it('moves by keyboard and shows the context', async () => {
  const { user, search } = renderApp('/');
  await screen.findByText('checkout failed r1');
  await user.keyboard('jj{Enter}');
  await waitFor(() => expect(search().get('record')).toBe('r2'));
  await user.keyboard('x');
  expect(await screen.findByText('just before')).toBeVisible();
  expect(screen.getByText('just after')).toBeVisible();
});

it('opens a link to a record that the search does not find', async () => {
  renderApp('/?record=elsewhere-9');
  expect(await screen.findByText('checkout failed elsewhere-9')).toBeVisible();
});

it('says what is wrong with a query, where it stands', async () => {
  server.use(
    http.get('/api/v1/search', () =>
      problem(422, { detail: 'A value is missing.', hint: 'Write level:*.', position: 6 }),
    ),
  );
  renderApp('/?q=level%3A');
  const alert = await screen.findByRole('alert');
  expect(alert).toHaveTextContent('A value is missing. Write level:*.');
  await waitFor(() => expect(document.querySelector('.q-problem')).toHaveTextContent(':'));
});

it('offers a longer time and a cleared search when nothing matched', async () => {
  server.use(
    http.get('/api/v1/search', ({ request }) => {
      const all = new URL(request.url).searchParams.get('limit') === '1';
      return searchAnswer(all ? [makeRecord('old')] : []);
    }),
  );
  const { user, search } = renderApp('/?q=needle');
  await user.click(await screen.findByRole('button', { name: 'Search the last 24 hours' }));
  await waitFor(() => expect(search().get('from')).toBe('-24h'));
  await user.click(await screen.findByRole('button', { name: 'Clear the search' }));
  await waitFor(() => expect(search().get('q')).toBeNull());
});

it('tells a failed search from an empty one', async () => {
  server.use(
    http.get('/api/v1/search', () =>
      HttpResponse.json(
        { detail: 'The store is out of reach.' },
        { status: 503, headers: { 'retry-after': '7' } },
      ),
    ),
  );
  renderApp('/');
  expect(await screen.findByText('The search failed')).toBeVisible();
  expect(screen.getByText('The store is out of reach. Try again in 7 s.')).toBeVisible();
});

it('helps with the first record, says when it is there, and leads to it', async () => {
  let sent = false;
  server.use(http.get('/api/v1/search', () => searchAnswer(sent ? [makeRecord('first')] : [])));
  const { user } = renderApp('/');
  expect(await screen.findByText('Waiting for your first record…')).toBeVisible();
  sent = true;
  expect(await screen.findByText('Records are arriving')).toBeVisible();
  await user.click(screen.getByRole('button', { name: 'Explore' }));
  expect(await screen.findByRole('row', { name: /checkout failed first/ })).toBeVisible();
});

it('has a sheet of shortcuts', async () => {
  const { user } = renderApp('/');
  await screen.findByText('checkout failed r1');
  await user.keyboard('?');
  expect(await screen.findByRole('dialog', { name: 'Keyboard shortcuts' })).toBeVisible();
});
