/** Where to send records: what the server says, else its own host with OpenTelemetry's port. */
import { queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';
import { asObject, asString } from '@/lib/narrow';

const COLLECTOR_PORT = 4318;

export const collectorAddressQuery = queryOptions({
  queryKey: ['collector-address'],
  queryFn: async ({ signal }) =>
    narrowAddress(await request('/api/v1/status', { signal })) ?? fallbackAddress(),
  staleTime: Number.POSITIVE_INFINITY,
});

export function fallbackAddress(): string {
  return `${window.location.protocol}//${window.location.hostname}:${COLLECTOR_PORT}`;
}

function narrowAddress(body: unknown): string | undefined {
  const address = asString(asObject(asObject(body).addresses).collector);
  return address?.startsWith('http') ? address.replace(/\/+$/, '') : undefined;
}
