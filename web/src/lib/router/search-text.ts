/** The URL's query text as plain strings. The router's own form would read `q=500` as a number. */

export type UrlSearch = Record<string, string | undefined>;

export function parseSearchText(text: string): UrlSearch {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (typeof value === 'string' && value !== '') params.set(name, value);
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}
