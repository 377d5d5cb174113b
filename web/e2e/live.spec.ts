import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launch, needle, open, send } from './browser.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());

it('shows a new record at once, holds while paused, and goes on', async () => {
  const word = needle();
  const { page, errors, close } = await open(browser, `/?live=1&q=${word}`);
  await page.getByTestId('tail-status').getByText('Live').waitFor();

  await send([{ message: `${word} first`, level: 'warn', service: 'e2e-live' }]);
  await page.getByRole('row').filter({ hasText: 'first' }).waitFor();

  await page.keyboard.press('p');
  await page.getByTestId('tail-status').getByText('Paused').waitFor();
  await send([
    { message: `${word} second` },
    { message: `${word} third` },
    { message: 'not what is looked for' },
  ]);
  await page.getByRole('button', { name: 'Resume (2 waiting)' }).waitFor();
  expect(await page.getByRole('row').filter({ hasText: 'second' }).count()).toBe(0);

  await page.keyboard.press('p');
  await page.getByRole('row').filter({ hasText: 'second' }).waitFor();
  expect(await page.getByRole('row').filter({ hasText: word }).count()).toBe(3);
  expect(errors).toEqual([]);
  await close();
});

it('follows a changed query', async () => {
  const word = needle();
  const { page, close } = await open(browser, '/');
  await page.getByRole('button', { name: 'Live', exact: true }).click();
  await page.getByTestId('tail-status').getByText('Live').waitFor();
  await page.getByRole('textbox', { name: 'Search query' }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type(`${word} level:error`);
  await page.keyboard.press('Enter');
  await page.getByText('Waiting for the next match').waitFor();
  await page.getByTestId('tail-status').getByText('Live').waitFor();
  await send([
    { message: `${word} quiet`, level: 'info' },
    { message: `${word} loud`, level: 'error' },
  ]);
  await page.getByRole('row').filter({ hasText: 'loud' }).waitFor();
  expect(await page.getByRole('row').filter({ hasText: 'quiet' }).count()).toBe(0);
  await close();
});

it('says where the query of a tail can’t be read', async () => {
  const { page, close } = await open(browser, '/?live=1&q=level%3A');
  await page.getByRole('alert').first().waitFor();
  await close();
});
