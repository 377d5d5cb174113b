/** Chromium and the running server that the browser tests drive. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The dashboard's address. */
export const API = address('DEVLOGS_E2E_API');
/** Where records are sent. */
export const COLLECTOR = address('DEVLOGS_E2E_COLLECTOR');

function address(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; start devlogs serve --dev and set it to its address`);
  return value.replace(/\/+$/, '');
}

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS });
}

export interface Opened {
  page: Page;
  /** Errors that the page wrote or threw; a refused query is none. */
  errors: string[];
  close: () => Promise<void>;
}

/** A page of its own profile, on a screen of 1280 × 800 unless said otherwise. */
export async function open(
  browser: Browser,
  path: string,
  options: BrowserContextOptions = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  // A busy machine is slow, not wrong.
  page.setDefaultTimeout(90_000);
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    const refused = message.text().includes('status of 422');
    if (message.type() === 'error' && !refused) errors.push(message.text());
  });
  await page.goto(`${API}${path}`);
  return { page, errors, close: () => context.close() };
}

export interface Sent {
  message: string;
  level?: string;
  service?: string;
  timestamp?: string;
  [name: string]: unknown;
}

/** Sends records and returns once they are durable. */
export async function send(...records: Sent[]): Promise<void> {
  const key = process.env.DEVLOGS_E2E_KEY;
  const response = await fetch(`${COLLECTOR}/v1/ingest`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}) },
    body: JSON.stringify(records),
  });
  if (!response.ok) throw new Error(`the collector answered ${response.status}: ${await response.text()}`);
  const answer = (await response.json()) as { accepted: number };
  if (answer.accepted !== records.length)
    throw new Error(`only ${answer.accepted} of ${records.length} accepted`);
}

/** A word that no other record holds. */
export function needle(): string {
  return `needle${Math.random().toString(36).slice(2, 12)}`;
}
