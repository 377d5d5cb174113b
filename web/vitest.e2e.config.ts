import { defineConfig } from 'vitest/config';

/** Browser tests against a running `devlogs`: DEVLOGS_E2E_API and DEVLOGS_E2E_COLLECTOR say where it is. */
export default defineConfig({
  test: {
    environment: 'node',
    include: ['e2e/**/*.spec.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
