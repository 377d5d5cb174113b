/** Narrowing of untyped input (network, URL, storage) to types. Each function answers a typed value or a fallback. */

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function asString(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A finite number; a decimal text counts too, since counters beyond 2^53 may come as text. */
export function asNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  return undefined;
}

export function asStrings(value: unknown): string[] {
  return asArray(value).filter((item): item is string => typeof item === 'string');
}

/** Keeps what `narrow` can read and leaves the rest out, so that one odd entry does not hide the others. */
export function narrowList<T>(value: unknown, narrow: (item: unknown) => T | undefined): T[] {
  return asArray(value).flatMap((item) => {
    const narrowed = narrow(item);
    return narrowed === undefined ? [] : [narrowed];
  });
}
