/** Sends a dead letter through the processor again; it keeps its record id. */
import { type Project, request } from '@/lib/api/client';

export async function retryDeadLetter(project: Project, id: string): Promise<void> {
  await request('post', '/api/v1/dead-letters/{id}/retry', { project, path: { id } });
}
