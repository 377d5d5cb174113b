/** The ledger: what came in against where it went, for each project and partition. */
import { queryOptions } from '@tanstack/react-query';
import { request, type Schemas } from '@/lib/api/client';

export type LedgerRow = Schemas['LedgerRow'];

export const ledgerQuery = queryOptions({
  queryKey: ['ledger'],
  // Of all projects, as the figures of queue and store beside it.
  queryFn: ({ signal }) => request('get', '/api/v1/ledger', { project: '*', signal }),
  refetchInterval: 5_000,
});
