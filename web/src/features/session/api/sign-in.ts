/** Signs in; the cookie comes with the answer. */
import { request } from '@/lib/api/client';
import { narrowSession, type Session } from '@/lib/api/get-session';

export interface Credentials {
  user: string;
  password: string;
}

export async function signIn(credentials: Credentials): Promise<Session> {
  return narrowSession(await request('/api/v1/session', { method: 'POST', body: credentials }));
}
