/** Deletes a dead letter for good; the ledger keeps count of it. */
import { request } from '@/lib/api/client';

export async function dropDeadLetter(id: string): Promise<void> {
  await request(`/api/v1/dead-letters/${encodeURIComponent(id)}`, { method: 'DELETE' });
}
