import { defineConfig } from 'vitest/config';

/** Browser tests against running servers, which `scripts/browser-test` starts. */
export default defineConfig({
  test: {
    environment: 'node',
    include: ['e2e/**/*.spec.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
