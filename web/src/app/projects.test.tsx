import { screen, waitFor, within } from '@testing-library/react';
import { http } from 'msw';
import { expect, it } from 'vitest';
import { renderApp } from '@/testing/render-app';
import { answer, LETTER, makeRecord, SESSION, searchAnswer, server } from '@/testing/server';

/** A server with a record of its own for each project. */
function serveProjects(projects: string[]) {
  server.use(
    http.get('/api/v1/session', () => answer('SessionBody', { ...SESSION, projects })),
    http.get('/api/v1/search', ({ request }) => {
      const project = new URL(request.url).searchParams.get('project') ?? 'default';
      return searchAnswer([makeRecord(`of-${project}`, { project })]);
    }),
    http.get('/api/v1/dead-letters', ({ request }) => {
      const project = new URL(request.url).searchParams.get('project') ?? 'default';
      const letter = { ...LETTER, project, reason: `refused in ${project}` };
      return answer('DeadLettersAnswer', { count: 1, dead_letters: [letter], next_cursor: null });
    }),
  );
}

it('changes the project in the URL, keeps the search, and closes the record', async () => {
  serveProjects(['default', 'shop']);
  const { user, search } = renderApp('/?q=level%3Aerror&record=of-default');
  await user.click(await screen.findByRole('button', { name: 'Project: default' }));
  await user.click(await screen.findByRole('menuitem', { name: 'shop' }));
  expect(await screen.findByText('checkout failed of-shop')).toBeVisible();
  expect(screen.queryByText('checkout failed of-default')).toBeNull();
  expect(Object.fromEntries(search())).toEqual({ q: 'level:error', project: 'shop' });
});

it('stays with the project from page to page', async () => {
  serveProjects(['default', 'shop']);
  const { user, search } = renderApp('/?project=shop');
  const navigation = await screen.findByRole('navigation', { name: 'Pages' });
  await user.click(within(navigation).getByRole('link', { name: 'Dead letters' }));
  expect(await screen.findByText('refused in shop')).toBeVisible();
  await user.click(screen.getByRole('button', { name: 'Project: shop' }));
  await user.click(await screen.findByRole('menuitem', { name: 'default' }));
  expect(await screen.findByText('refused in default')).toBeVisible();
  await waitFor(() => expect(search().get('project')).toBeNull());
});

it('says so when a link names a project that is not there', async () => {
  serveProjects(['default']);
  const { user, search } = renderApp('/?project=gone');
  expect(await screen.findByText('There is no project “gone” for you here')).toBeVisible();
  await user.click(screen.getByRole('button', { name: 'Go to the project “default”' }));
  expect(await screen.findByText('checkout failed of-default')).toBeVisible();
  expect(search().get('project')).toBeNull();
});

it('shows no switcher to who sees one project', async () => {
  renderApp('/');
  await screen.findByText('checkout failed r1');
  expect(screen.queryByRole('button', { name: /^Project/ })).toBeNull();
});
