import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launch, needle, open, store } from './browser.ts';

const word = needle();
let browser: Browser;
beforeAll(async () => {
  browser = await launch();
  await store(word, [{ message: `${word} was here`, service: 'e2e-pages', level: 'info' }]);
});
afterAll(() => browser?.close());

/** True when nothing sticks out of the screen sideways. */
function fits(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);
}

describe('pages', () => {
  it('gets a new user started', async () => {
    const { page, errors, close } = await open(browser, '/start');
    await page.getByRole('heading', { name: 'Send your first record' }).waitFor();
    await page.getByRole('tab', { name: 'Python' }).click();
    await page.getByText('opentelemetry-exporter-otlp-proto-http').waitFor();
    await page.getByText('Records are arriving').waitFor();
    await page.getByRole('button', { name: 'Explore' }).click();
    await page.getByRole('grid').waitFor();
    expect(errors).toEqual([]);
    await close();
  });

  it('makes a key, shows it once and revokes it', async () => {
    const name = needle();
    const { page, errors, close } = await open(browser, '/settings/keys');
    await page.getByRole('button', { name: 'Create key' }).first().click();
    const dialog = page.getByRole('dialog', { name: 'Create a key' });
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByRole('button', { name: 'Create key' }).click();
    expect((await page.getByTestId('new-key').textContent())?.length).toBeGreaterThan(16);
    await dialog.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('button', { name: `Revoke key ${name}` }).click();
    await page.getByRole('button', { name: 'Revoke', exact: true }).click();
    await page.getByRole('button', { name: `Revoke key ${name}` }).waitFor({ state: 'detached' });
    expect(errors).toEqual([]);
    await close();
  });

  it('shows status, ledger and dead letters', async () => {
    const { page, errors, close } = await open(browser, '/status');
    await page.getByRole('table', { name: 'Queue partitions' }).waitFor();
    await page.getByText('adds up').waitFor();
    await page.getByRole('link', { name: 'Dead letters' }).click();
    await page.getByRole('heading', { name: 'Dead letters', exact: true }).waitFor();
    await page
      .getByText('No dead letters')
      .or(page.getByRole('list', { name: 'Dead letters' }))
      .first()
      .waitFor();
    expect(errors).toEqual([]);
    await close();
  });

  it('has a sheet of shortcuts', async () => {
    const { page, close } = await open(browser, '/');
    await page.getByRole('grid').waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor({ state: 'detached' });
    await close();
  });
});

describe('looks', () => {
  it('follows the system’s colours, and keeps a choice', async () => {
    const { page, close } = await open(browser, '/', { colorScheme: 'dark' });
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.getByRole('grid').waitFor();
    expect(await background()).toBe('rgb(11, 14, 20)');
    await page.getByRole('button', { name: /^Colours/ }).click();
    await page.getByRole('menuitem', { name: 'Light' }).click();
    expect(await background()).toBe('rgb(246, 247, 249)');
    await page.reload();
    await page.getByRole('grid').waitFor();
    expect(await background()).toBe('rgb(246, 247, 249)');
    await close();
  });

  it.each([390, 1280, 1920])('fits a screen of %s pixels', async (width) => {
    const { page, errors, close } = await open(browser, `/?q=${word}`, { viewport: { width, height: 900 } });
    await page.getByRole('row').filter({ hasText: word }).click();
    await page.getByTestId('record-detail').waitFor();
    expect(await fits(page)).toBe(true);
    for (const path of ['/start', '/status', '/settings/keys', '/dead-letters']) {
      await page.goto(new URL(path, page.url()).href);
      await page.getByRole('heading', { level: 1 }).waitFor();
      expect(await fits(page), path).toBe(true);
    }
    expect(errors).toEqual([]);
    await close();
  });

  it('keeps filters behind a drawer on a narrow screen', async () => {
    const { page, close } = await open(browser, '/', { viewport: { width: 390, height: 844 } });
    await page.getByRole('grid').waitFor();
    await page.getByRole('button', { name: 'Show or hide filters' }).click();
    await page.getByRole('dialog', { name: 'Filters' }).getByRole('checkbox').first().waitFor();
    await close();
  });
});

describe('untrusted messages', () => {
  it('shows them as text, with control characters in sight', async () => {
    const word = needle();
    await store(word, [{ message: `${word} <img src=x onerror="document.title='owned'"> \u001b[2J \u202e` }]);
    const { page, errors, close } = await open(browser, `/?q=${word}`);
    await page.getByRole('row').filter({ hasText: '<img src=x' }).click();
    await page.getByTestId('record-detail').getByText('‹ESC›').first().waitFor();
    expect(await page.title()).toBe('Instant Dev Logs');
    expect(errors).toEqual([]);
    await close();
  });
});
