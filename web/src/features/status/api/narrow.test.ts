import { expect, it } from 'vitest';
import { narrowLedger } from '@/features/status/api/get-ledger';
import { narrowStatus } from '@/features/status/api/get-status';

it('keeps what it does not know, and bears anything', () => {
  const status = narrowStatus({
    version: '1',
    store: { rows: 5, colour: 'red' },
    later: { a: 1 },
    queue: 'junk',
  });
  expect(status).toMatchObject({ version: '1', storeRows: 5, partitions: [] });
  expect(status.others).toEqual([
    { title: 'Server', members: { later: { a: 1 } } },
    { title: 'Store', members: { colour: 'red' } },
  ]);
  expect(narrowStatus(null).version).toBe('unknown');
});

it('adds up the ledger', () => {
  const row = {
    project: 'p',
    partition: 0,
    received: 10,
    stored: 6,
    dead_lettered: 1,
    deduplicated: 1,
    dropped: 2,
  };
  expect(narrowLedger({ ledger: [row] }).balanced).toBe(true);
  expect(narrowLedger({ ledger: [{ ...row, stored: 5 }] }).balanced).toBe(false);
  expect(narrowLedger({ ledger: [{ ...row, stored: 5, waiting: 1 }] }).balanced).toBe(false);
  expect(narrowLedger({ ledger: [{ ...row, waiting: 3, expired: 4 }] }).balanced).toBe(true);
  expect(narrowLedger({ ledger: [row], balanced: false }).balanced).toBe(false);
});
