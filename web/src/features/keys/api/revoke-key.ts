/** Takes a key out of force, at once and for good. */
import { type Project, request } from '@/lib/api/client';

export async function revokeKey(project: Project, id: string): Promise<void> {
  await request('delete', '/api/v1/keys/{id}', { project, path: { id } });
}
