/** The ledger: what came in against where it went, for each project and partition. */
import { queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { asNumber, asObject, asString, isObject, narrowList } from '@/lib/narrow';

export const LEDGER_COUNTS = [
  'received',
  'stored',
  'dead_lettered',
  'deduplicated',
  'dropped',
  'waiting',
  'expired',
  'deleted',
] as const;

export type LedgerCount = (typeof LEDGER_COUNTS)[number];

export interface LedgerEntry {
  project: string;
  partition: string;
  counts: Record<LedgerCount, number>;
}

export interface Ledger {
  entries: LedgerEntry[];
  balanced: boolean | undefined;
}

export const ledgerQuery = queryOptions({
  queryKey: ['ledger'],
  queryFn: async ({ signal }): Promise<Ledger> => {
    const body = asObject(await request('/api/v1/ledger', { signal }));
    return {
      entries: narrowList(body.entries, narrowEntry),
      balanced: typeof body.balanced === 'boolean' ? body.balanced : undefined,
    };
  },
  refetchInterval: 5_000,
});

function narrowEntry(value: unknown): LedgerEntry | undefined {
  if (!isObject(value)) return undefined;
  const counts = LEDGER_COUNTS.map((name) => [name, asNumber(value[name]) ?? 0]);
  return {
    project: asString(value.project) ?? '?',
    partition: String(value.partition ?? '?'),
    counts: Object.fromEntries(counts) as Record<LedgerCount, number>,
  };
}
