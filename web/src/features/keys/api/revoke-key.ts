/** Takes a key out of force, at once and for good. */
import { request } from '@/lib/api/client';

export async function revokeKey(id: string): Promise<void> {
  await request('delete', '/api/v1/keys/{id}', { project: undefined, path: { id } });
}
