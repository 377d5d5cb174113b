/** Takes a key out of force, at once and for good. */
import { request } from '@/lib/api/client';

export async function revokeKey(id: string): Promise<void> {
  await request(`/api/v1/keys/${encodeURIComponent(id)}`, { method: 'DELETE' });
}
