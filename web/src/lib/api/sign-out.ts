/** Ends the session on the server. */
import { request } from '@/lib/api/client';

export async function signOut(): Promise<void> {
  await request('delete', '/api/v1/session', { project: undefined });
}
