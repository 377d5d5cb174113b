/** Makes an API key. The answer is the only time that the key itself is told. */
import { ApiError } from '@/lib/api/api-error';
import { request } from '@/lib/api/client';
import { asObject, asString } from '@/lib/narrow';

export interface NewKey {
  name: string;
  project: string;
  scopes: string[];
}

export async function createKey(input: NewKey): Promise<string> {
  const key = asString(asObject(await request('/api/v1/keys', { method: 'POST', body: input })).key);
  if (key === undefined) throw new ApiError('The server made a key but did not tell it.', { status: 200 });
  return key;
}
