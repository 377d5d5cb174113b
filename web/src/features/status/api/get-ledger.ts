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
  /** The queue that the counts belong to; a restored queue is another one. */
  incarnation: string;
  partition: string;
  counts: Record<LedgerCount, number>;
}

export interface Ledger {
  entries: LedgerEntry[];
  balanced: boolean;
}

export const ledgerQuery = queryOptions({
  queryKey: ['ledger'],
  queryFn: async ({ signal }) => narrowLedger(await request('/api/v1/ledger', { signal })),
  refetchInterval: 5_000,
});

export function narrowLedger(body: unknown): Ledger {
  const answer = asObject(body);
  const entries = narrowList(answer.ledger ?? answer.entries, narrowEntry);
  return { entries, balanced: answer.balanced !== false && entries.every(addsUp) };
}

/**
 * What was received is somewhere. Messages count as received once they are processed, so that what still waits is in
 * no sum; expired and deleted records were stored before.
 */
export function addsUp({ counts }: LedgerEntry): boolean {
  return counts.received === counts.stored + counts.dead_lettered + counts.deduplicated + counts.dropped;
}

function narrowEntry(value: unknown): LedgerEntry | undefined {
  if (!isObject(value)) return undefined;
  const counts = LEDGER_COUNTS.map((name) => [name, asNumber(value[name]) ?? 0]);
  return {
    project: asString(value.project) ?? '?',
    incarnation: asString(value.incarnation) ?? '',
    partition: String(value.partition ?? '?'),
    counts: Object.fromEntries(counts) as Record<LedgerCount, number>,
  };
}
