/** Deletes a dead letter for good; the ledger keeps count of it. */
import { type Project, request } from '@/lib/api/client';

export async function dropDeadLetter(project: Project, id: string): Promise<void> {
  await request('delete', '/api/v1/dead-letters/{id}', { project, path: { id } });
}
