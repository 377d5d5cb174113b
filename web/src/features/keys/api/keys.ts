/** What an API key looks like in the list; its secret part is shown once, when it is made. */
import { asArray, asString, asStrings, isObject } from '@/lib/narrow';

export const SCOPES = ['ingest', 'query', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

export interface ApiKey {
  id: string;
  name: string;
  /** The public part of the key, to tell keys apart. */
  prefix: string;
  project: string;
  scopes: string[];
  createdAt: string | undefined;
  lastUsedAt: string | undefined;
  expiresAt: string | undefined;
}

export function narrowKey(value: unknown): ApiKey | undefined {
  if (!isObject(value)) return undefined;
  const id = typeof value.id === 'number' ? String(value.id) : asString(value.id);
  if (id === undefined) return undefined;
  return {
    id,
    name: asString(value.name) ?? '',
    prefix: asString(value.prefix) ?? id,
    project: asString(value.project) ?? '',
    scopes: asStrings(asArray(value.scopes)),
    createdAt: asString(value.created_at),
    lastUsedAt: asString(value.last_used_at),
    expiresAt: asString(value.expires_at),
  };
}
