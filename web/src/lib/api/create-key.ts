/** Makes an API key. The answer is the only time that the key itself is told. */
import { request, type Schemas } from '@/lib/api/client';

export type NewKey = Schemas['NewKeyParams'];

export async function createKey(body: NewKey): Promise<string> {
  const { key } = await request('post', '/api/v1/keys', { project: undefined, body });
  return key;
}
