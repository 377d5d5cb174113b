/** Sends a dead letter through the processor again; it keeps its record id. */
import { request } from '@/lib/api/client';

export async function retryDeadLetter(id: string): Promise<void> {
  await request(`/api/v1/dead-letters/${encodeURIComponent(id)}/retry`, { method: 'POST' });
}
