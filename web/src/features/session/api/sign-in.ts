/** Signs in; the cookie comes with the answer. */
import { request, type Schemas } from '@/lib/api/client';
import { enterSession, type Session } from '@/lib/api/get-session';

export async function signIn(body: Schemas['SignIn']): Promise<Session> {
  return enterSession(await request('post', '/api/v1/session', { project: undefined, body }));
}
