/** How the server is doing. Members that this page does not know are kept, to be shown as they are. */
import { queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { asNumber, asObject, asString, asStrings, isObject, type JsonObject, narrowList } from '@/lib/narrow';

export interface Partition {
  id: string;
  oldest: number | undefined;
  next: number | undefined;
  committed: number | undefined;
  lagMessages: number | undefined;
  bytes: number | undefined;
}

export interface Status {
  version: string;
  uptimeSeconds: number | undefined;
  roles: string[];
  queueBackend: string;
  partitions: Partition[];
  storeBackend: string;
  storeRows: number | undefined;
  storeBytes: number | undefined;
  storeSegments: number | undefined;
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
    uptimeSeconds: asNumber(answer.uptime_seconds) ?? asNumber(answer.uptime),
    roles: asStrings(answer.roles),
    queueBackend: asString(queue.backend) ?? 'unknown',
    partitions: narrowList(queue.partitions, narrowPartition),
    storeBackend: asString(store.backend) ?? 'unknown',
    storeRows: asNumber(store.rows),
    storeBytes: asNumber(store.bytes),
    storeSegments: asNumber(store.segments),
    others: [
      {
        title: 'Server',
        members: without(answer, ['version', 'uptime', 'uptime_seconds', 'roles', 'queue', 'store']),
      },
      { title: 'Queue', members: without(queue, ['backend', 'partitions']) },
      { title: 'Store', members: without(store, ['backend', 'rows', 'bytes', 'segments']) },
    ].filter((section) => Object.keys(section.members).length > 0),
  };
}

function narrowPartition(value: unknown): Partition | undefined {
  if (!isObject(value)) return undefined;
  return {
    id: String(value.id ?? '?'),
    oldest: asNumber(value.oldest),
    next: asNumber(value.next),
    committed: asNumber(value.committed),
    lagMessages: asNumber(value.lag_messages),
    bytes: asNumber(value.bytes),
  };
}

function without(object: JsonObject, names: string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}
