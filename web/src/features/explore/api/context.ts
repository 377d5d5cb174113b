/** One record with its neighbours in time; with none asked for, the record alone (for links to records). */
import { queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { asObject, narrowList } from '@/lib/narrow';
import { type LogRecord, narrowRecord } from '@/lib/record';
import { compareTimes } from '@/lib/time/timestamp';

export interface RecordContext {
  /** In the order of time, oldest first. */
  before: LogRecord[];
  record: LogRecord | undefined;
  after: LogRecord[];
}

/** `same`: names of the fields that neighbours share with the record, such as `service,host`; empty for all. */
export function contextQuery(id: string, neighbours: number, same: string) {
  return queryOptions({
    queryKey: ['context', id, neighbours, same],
    queryFn: async ({ signal }) => {
      const params = { before: neighbours, after: neighbours, same: same === '' ? undefined : same };
      const body = asObject(await request(`/api/v1/context/${encodeURIComponent(id)}`, { params, signal }));
      const context: RecordContext = {
        before: narrowList(body.before, narrowRecord).sort(byTime),
        record: narrowRecord(body.record),
        after: narrowList(body.after, narrowRecord).sort(byTime),
      };
      return context;
    },
    staleTime: 60_000,
  });
}

/** The stable sort keeps the server's order for equal times. */
function byTime(a: LogRecord, b: LogRecord): number {
  return compareTimes(a.timestamp, b.timestamp);
}
