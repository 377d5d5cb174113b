/** Signing in, and several projects: against a second server, which asks who one is. */
import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launch, needle, openAt, setting, store } from './browser.ts';

const API = setting('DEVLOGS_E2E_SIGN_IN_API');
const COLLECTOR = setting('DEVLOGS_E2E_SIGN_IN_COLLECTOR');
const PROJECT = 'e2e-shop';
const words = { default: needle(), [PROJECT]: needle() };
let browser: Browser;
let admin: { user: string; password: string };

beforeAll(async () => {
  browser = await launch();
  const secrets = JSON.parse(await readFile(setting('DEVLOGS_E2E_SECRETS'), 'utf8'));
  admin = { user: secrets.admin_user, password: secrets.admin_password };
  const post = async (path: string, body: unknown) => {
    const headers = { 'content-type': 'application/json', 'x-api-key': secrets.admin_key };
    const response = await fetch(`${API}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response.json();
  };
  await post('/api/v1/projects', { name: PROJECT });
  const { key } = await post('/api/v1/keys', { name: 'e2e', project: PROJECT, scopes: ['ingest', 'query'] });
  const server = { api: API, collector: COLLECTOR };
  await store(words.default, [{ message: `${words.default} of the default project` }], {
    ...server,
    ingestKey: secrets.ingest_key,
    queryKey: secrets.query_key,
  });
  await store(words[PROJECT], [{ message: `${words[PROJECT]} of the shop` }], {
    ...server,
    ingestKey: key,
    queryKey: key,
  });
});
afterAll(() => browser?.close());

async function signIn(page: Page, password: string) {
  await page.getByLabel('User').fill(admin.user);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

it('asks who one is, and leads back to where one was', async () => {
  const { page, close } = await openAt(browser, `${API}/?q=${words.default}`);
  await signIn(page, 'wrong');
  await page.getByText('User or password is wrong.').waitFor();
  await signIn(page, admin.password);
  await page.getByRole('row').filter({ hasText: words.default }).waitFor();
  await page.getByRole('button', { name: `Signed in as ${admin.user}` }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.goto(`${API}/status`);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await close();
});

it('loads neither the editor nor the plot to sign in', async () => {
  const { page, close } = await openAt(browser, `${API}/sign-in`);
  await page.getByLabel('User').waitFor();
  const loaded = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
  expect(loaded.some((name) => name.includes('sign-in-route'))).toBe(true);
  expect(loaded.filter((name) => /query-editor|histogram|explore-route/.test(name))).toEqual([]);
  await close();
});

it('shows one project at a time, also live, and stays with it', async () => {
  const { page, errors, close } = await openAt(browser, `${API}/sign-in`);
  await signIn(page, admin.password);
  await page.getByRole('row').filter({ hasText: words.default }).waitFor();
  expect(await page.getByRole('row').filter({ hasText: words[PROJECT] }).count()).toBe(0);

  await page.getByRole('button', { name: 'Project: default' }).click();
  await page.getByRole('menuitem', { name: PROJECT }).click();
  await page.getByRole('row').filter({ hasText: words[PROJECT] }).waitFor();
  expect(await page.getByRole('row').filter({ hasText: words.default }).count()).toBe(0);
  expect(new URL(page.url()).searchParams.get('project')).toBe(PROJECT);

  await page.getByRole('button', { name: 'Live', exact: true }).click();
  await page.getByTestId('tail-status').getByText('Live').waitFor();
  await page.getByRole('link', { name: 'Dead letters' }).click();
  await page.getByText('No dead letters').waitFor();
  expect(new URL(page.url()).searchParams.get('project')).toBe(PROJECT);
  // Asking who one is answers 401 once.
  expect(errors.filter((text) => !text.includes('status of 401'))).toEqual([]);
  await close();
});
