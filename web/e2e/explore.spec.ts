import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launch, needle, open, type Sent, store } from './browser.ts';

const word = needle();
const MINUTE_MS = 60_000;
let browser: Browser;

/** Twelve records over the last half hour, a third of them errors. */
function fixture(): Sent[] {
  return Array.from({ length: 12 }, (_, at) => ({
    timestamp: new Date(Date.now() - (at * 2 + 3) * MINUTE_MS).toISOString(),
    message: `${word} request ${at} took a while`,
    level: at % 3 === 0 ? 'error' : 'info',
    service: at % 2 === 0 ? 'e2e-web' : 'e2e-api',
    host: 'e2e-host',
    'http.status_code': at % 3 === 0 ? 502 : 200,
  }));
}

beforeAll(async () => {
  browser = await launch();
  await store(word, fixture());
});
afterAll(() => browser?.close());

describe('search', () => {
  it('finds what is typed, and marks it', async () => {
    const { page, errors, close } = await open(browser, '/');
    await page.getByRole('grid').waitFor();
    await page.getByRole('textbox', { name: 'Search query' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type(`${word} level:error`);
    await page.keyboard.press('Enter');
    await page.getByTestId('stats').getByText('4 of 4').waitFor();
    expect(await page.getByRole('grid').locator('mark').first().textContent()).toBe(word);
    expect(new URL(page.url()).searchParams.get('q')).toBe(`${word} level:error`);
    expect(errors).toEqual([]);
    await close();
  });

  it('completes fields and values', async () => {
    const { page, close } = await open(browser, `/?q=${word}`);
    await page.getByRole('grid').waitFor();
    await page.getByRole('textbox', { name: 'Search query' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.press('End');
    await page.keyboard.type(' servi');
    await page
      .locator('.cm-tooltip-autocomplete li', { hasText: /^service/ })
      .first()
      .waitFor();
    await page.keyboard.press('Tab');
    await page.locator('.cm-tooltip-autocomplete li', { hasText: 'e2e-api' }).first().click();
    await page.keyboard.press('Enter');
    await page.getByTestId('stats').getByText('6 of 6').waitFor();
    await close();
  });

  it('shows where a query can’t be read', async () => {
    const { page, close } = await open(browser, '/?q=status%3A%5Bx%20TO%205%5D');
    await page.getByRole('alert').first().waitFor();
    await page.locator('.q-problem').waitFor();
    await page.getByRole('button', { name: 'Clear the search' }).click();
    await page.getByRole('grid').waitFor();
    await close();
  });

  it('offers a way on when nothing matched', async () => {
    const { page, close } = await open(browser, `/?q=${needle()}`);
    await page.getByText('Nothing matched in the last hour').waitFor();
    await page.getByRole('button', { name: 'Search the last 24 hours' }).click();
    await page.getByText('Nothing matched in the last 24 hours').waitFor();
    await close();
  });
});

describe('filters', () => {
  it('filters from the facets and from a record', async () => {
    const { page, close } = await open(browser, `/?q=${word}`);
    await page.getByRole('checkbox', { name: /^service e2e-web/ }).click();
    await page.getByTestId('stats').getByText('6 of 6').waitFor();
    await page.getByRole('row').filter({ hasText: 'error' }).first().click();
    const detail = page.getByTestId('record-detail');
    await detail.getByText('http.status_code').hover();
    await detail.getByRole('button', { name: 'Filter for http.status_code' }).click();
    await page.getByTestId('stats').getByText('2 of 2').waitFor();
    expect(new URL(page.url()).searchParams.get('q')).toBe(`${word} service:e2e-web http.status_code:502`);
    await detail.getByText('http.status_code').hover();
    await detail.getByRole('button', { name: 'Add column http.status_code' }).click();
    await page.getByRole('columnheader', { name: /http.status_code/ }).waitFor();
    await close();
  });

  it('shows what happened around a record', async () => {
    const { page, close } = await open(browser, `/?q=${word}`);
    await page.getByRole('row').filter({ hasText: 'request 4' }).click();
    await page.keyboard.press('x');
    const around = page.getByRole('list', { name: 'Records around this one' });
    await around.locator('[aria-current]').waitFor();
    await around.getByRole('listitem').nth(3).waitFor();
    await close();
  });

  it('opens a record by its link', async () => {
    const first = await open(browser, `/?q=${word}`);
    await first.page.getByRole('row').filter({ hasText: 'request 2' }).click();
    await first.page.getByTestId('record-detail').getByText(word).first().waitFor();
    const id = new URL(first.page.url()).searchParams.get('record');
    await first.close();
    const second = await open(browser, `/?q=${needle()}&record=${id}`);
    await second.page.getByTestId('record-detail').getByText(word).first().waitFor();
    await second.close();
  });
});

describe('time', () => {
  it('zooms with a brush over the histogram, and back', async () => {
    const { page, close } = await open(browser, `/?q=${word}`);
    await page.getByTestId('stats').getByText('12 of 12').waitFor();
    const box = await page.getByTestId('histogram').locator('.u-over').boundingBox();
    if (box === null) throw new Error('the histogram has no size');
    const y = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width * 0.7, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.98, y, { steps: 8 });
    await page.mouse.up();
    await page.getByRole('button', { name: 'Reset zoom' }).waitFor();
    const zoomed = new URL(page.url()).searchParams;
    expect(Date.parse(zoomed.get('to') ?? '') - Date.parse(zoomed.get('from') ?? '')).toBeLessThan(
      30 * MINUTE_MS,
    );
    await page.getByRole('button', { name: 'Reset zoom' }).click();
    await page.getByTestId('stats').getByText('12 of 12').waitFor();
    await close();
  });

  it('takes presets and moments', async () => {
    const { page, close } = await open(browser, `/?q=${word}`);
    await page.getByRole('grid').waitFor();
    await page.keyboard.press('t');
    await page.getByRole('button', { name: 'Last 7 days' }).click();
    await page.getByRole('button', { name: 'Time range: Last 7 days' }).waitFor();
    // A picker that is closing still has the keyboard.
    await page.getByRole('button', { name: 'Apply' }).waitFor({ state: 'detached' });
    await page.keyboard.press('t');
    await page.getByLabel('From', { exact: true }).fill('-2h');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.getByRole('button', { name: 'Time range: Last 2h' }).waitFor();
    await close();
  });
});
