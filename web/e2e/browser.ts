/** Chromium and the running server that the browser tests drive. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { expect, vi } from 'vitest';

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

/** How long anything may take; a busy machine is slow, not wrong. */
const WAIT_MS = 60_000;

/** The dashboard's address. */
export const API = setting('DEVLOGS_E2E_API');
/** What `scripts/browser-test` tells about the servers that it started. */
export function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run scripts/browser-test`);
  return value;
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

/** A page of the server without sign-in. */
export function open(browser: Browser, path: string, options: BrowserContextOptions = {}): Promise<Opened> {
  return openAt(browser, `${API}${path}`, options);
}

/** A page of its own profile, on a screen of 1280 × 800 unless said otherwise. */
export async function openAt(
  browser: Browser,
  address: string,
  options: BrowserContextOptions = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    const refused = message.text().includes('status of 422');
    if (message.type() === 'error' && !refused) errors.push(message.text());
  });
  await page.goto(address);
  return { page, errors, close: () => context.close() };
}

export interface Sent {
  message: string;
  level?: string;
  service?: string;
  timestamp?: string;
  [name: string]: unknown;
}

/** Where records go, and where they are found again. */
export interface Server {
  api: string;
  collector: string;
  ingestKey?: string;
  queryKey?: string;
}

/** The server without sign-in. */
const OPEN: Server = { api: API, collector: setting('DEVLOGS_E2E_COLLECTOR') };

/** Sends records and returns once they are durable: for tests of the tail. */
export async function send(records: Sent[], { collector, ingestKey }: Server = OPEN): Promise<void> {
  const headers = {
    'content-type': 'application/json',
    ...(ingestKey && { authorization: `Bearer ${ingestKey}` }),
  };
  const response = await fetch(`${collector}/v1/ingest`, {
    method: 'POST',
    headers,
    body: JSON.stringify(records),
  });
  if (!response.ok) throw new Error(`the collector answered ${response.status}: ${await response.text()}`);
  const answer = (await response.json()) as { accepted: number };
  if (answer.accepted !== records.length)
    throw new Error(`only ${answer.accepted} of ${records.length} accepted`);
}

/** Sends records and returns once a search finds them all by `word`, which stands in their messages only. */
export async function store(word: string, records: Sent[], server: Server = OPEN): Promise<void> {
  await send(records, server);
  const headers = server.queryKey ? { authorization: `Bearer ${server.queryKey}` } : undefined;
  const found = async () => {
    const response = await fetch(`${server.api}/api/v1/search?q=${word}&from=-24h&limit=1000`, { headers });
    return ((await response.json()) as { records?: unknown[] }).records?.length;
  };
  await vi.waitFor(async () => expect(await found()).toBe(records.length), {
    timeout: WAIT_MS,
    interval: 50,
  });
}

/** A word that no other record holds. */
export function needle(): string {
  return `needle${Math.random().toString(36).slice(2, 12)}`;
}
