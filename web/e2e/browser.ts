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
export const API = setting('DEVLOGS_E2E_API');
/** Where records are sent. */
const COLLECTOR = setting('DEVLOGS_E2E_COLLECTOR');

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
  // A busy machine is slow, not wrong.
  page.setDefaultTimeout(90_000);
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

/** Sends records to the server without sign-in and returns once they are durable. */
export function send(...records: Sent[]): Promise<void> {
  return sendTo(COLLECTOR, undefined, ...records);
}

export async function sendTo(collector: string, key: string | undefined, ...records: Sent[]): Promise<void> {
  const headers = { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) };
  const body = JSON.stringify(records);
  const response = await fetch(`${collector}/v1/ingest`, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`the collector answered ${response.status}: ${await response.text()}`);
  const answer = (await response.json()) as { accepted: number };
  if (answer.accepted !== records.length)
    throw new Error(`only ${answer.accepted} of ${records.length} accepted`);
}

/** A word that no other record holds. */
export function needle(): string {
  return `needle${Math.random().toString(36).slice(2, 12)}`;
}
