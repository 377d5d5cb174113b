/** How the server is doing. Members that this page does not know are kept, to be shown as they are. */
import { queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { asNumber, asObject, asString, isObject, type JsonObject, narrowList } from '@/lib/narrow';

export interface Partition {
  id: string;
  /** Positions: the oldest that is kept, the next to come, and how far queries see. */
  oldest: number | undefined;
  next: number | undefined;
  written: number | undefined;
  waitingMessages: number | undefined;
  bytes: number | undefined;
}

export interface Status {
  version: string;
  ready: boolean | undefined;
  uptimeSeconds: number | undefined;
  partitions: Partition[];
  storeBackend: string;
  storeRows: number | undefined;
  storeBytes: number | undefined;
  storeSegments: number | undefined;
  deadLetters: number | undefined;
  /** What else came, by section. */
  others: { title: string; members: JsonObject }[];
}

export const statusQuery = queryOptions({
  queryKey: ['status'],
  queryFn: async ({ signal }) => narrowStatus(await request('/api/v1/status', { signal })),
  refetchInterval: 5_000,
});

export function narrowStatus(body: unknown): Status {
  const answer = asObject(body);
  const queue = asObject(answer.queue);
  const store = asObject(answer.store);
  return {
    version: asString(answer.version) ?? 'unknown',
    ready: typeof answer.ready === 'boolean' ? answer.ready : undefined,
    uptimeSeconds: asNumber(answer.uptime_seconds),
    partitions: narrowList(queue.partitions, narrowPartition),
    storeBackend: asString(store.backend) ?? 'unknown',
    storeRows: asNumber(store.rows),
    storeBytes: asNumber(store.bytes),
    storeSegments: asNumber(store.segments),
    deadLetters: asNumber(answer.dead_letters),
    others: [
      { title: 'Server', members: without(answer, SHOWN_MEMBERS) },
      { title: 'Queue', members: without(queue, ['partitions']) },
      { title: 'Store', members: without(store, ['backend', 'rows', 'bytes', 'segments']) },
    ].filter((section) => Object.keys(section.members).length > 0),
  };
}

const SHOWN_MEMBERS = ['version', 'ready', 'uptime_seconds', 'dead_letters', 'queue', 'store'];

function narrowPartition(value: unknown): Partition | undefined {
  if (!isObject(value)) return undefined;
  return {
    id: String(value.partition ?? value.id ?? '?'),
    oldest: asNumber(value.oldest),
    next: asNumber(value.next),
    written: asNumber(value.written),
    waitingMessages: asNumber(value.waiting_messages),
    bytes: asNumber(value.bytes),
  };
}

function without(object: JsonObject, names: string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}
