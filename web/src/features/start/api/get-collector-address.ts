/** Where to send records: what the server says, else its own host with OpenTelemetry's port. */
import { queryOptions } from '@tanstack/react-query';
import { request } from '@/lib/api/client';

const COLLECTOR_PORT = 4318;

export const collectorAddressQuery = queryOptions({
  queryKey: ['collector-address'],
  queryFn: async ({ signal }) => {
    const { addresses } = await request('get', '/api/v1/status', { project: undefined, signal });
    return addresses.collector ?? fallbackAddress();
  },
  staleTime: Number.POSITIVE_INFINITY,
});

export function fallbackAddress(): string {
  return `${window.location.protocol}//${window.location.hostname}:${COLLECTOR_PORT}`;
}
