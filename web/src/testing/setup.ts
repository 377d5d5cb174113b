/** What jsdom lacks and the components need: sizes, media queries, canvas. */
import '@testing-library/jest-dom/vitest';
import { cleanup, configure } from '@testing-library/react';
import { afterAll, afterEach, beforeAll, vi } from 'vitest';
import { server } from '@/testing/server';

vi.mock('@/features/explore/components/histogram-plot', async () => ({
  STACK: [...(await import('@/lib/level')).LEVEL_GROUPS].reverse(),
  createPlot: () => ({ setData: () => undefined, setSize: () => undefined, destroy: () => undefined }),
}));

configure({
  // The page as a whole is too long to help in a failure's message.
  getElementError: (message) => new Error((message ?? '').split('\n\n')[0]),
  // A busy machine is slow, not wrong.
  asyncUtilTimeout: 20_000,
});

/** The parts that are loaded apart. */
const LAZY = import.meta.glob([
  '@/app/routes/*-route.tsx',
  '@/app/shortcuts-help.tsx',
  '@/features/*/components/*-{page,panel,editor}.tsx',
  '@/features/explore/components/histogram.tsx',
]);

beforeAll(async () => {
  server.listen({ onUnhandledRequest: 'error' });
  // What the pages load when they need it is compiled before any test waits for it.
  await Promise.all(Object.values(LAZY).map((load) => load()));
}, 120_000);
afterEach(() => {
  cleanup();
  server.resetHandlers();
  localStorage.clear();
});
afterAll(() => server.close());

Object.defineProperties(HTMLElement.prototype, {
  clientHeight: { configurable: true, get: () => 600 },
  clientWidth: { configurable: true, get: () => 1000 },
});
Element.prototype.scrollIntoView = () => undefined;
Element.prototype.scrollTo = () => undefined;
window.scrollTo = () => undefined;
Range.prototype.getClientRects = () => [] as unknown as DOMRectList;
Range.prototype.getBoundingClientRect = () => new DOMRect();
window.matchMedia = (query) => ({
  matches: false,
  media: query,
  onchange: null,
  addListener: () => undefined,
  removeListener: () => undefined,
  addEventListener: () => undefined,
  removeEventListener: () => undefined,
  dispatchEvent: () => false,
});
window.ResizeObserver = class {
  observe() {}
  unobserve() {}
  disconnect() {}
};
