/** Writing names and values so that the server reads exactly what was meant. */

const PLAIN_VALUE = /^[A-Za-z0-9_][A-Za-z0-9_.@-]*$/;
const PLAIN_FIELD = /^[A-Za-z0-9_@][A-Za-z0-9_.@/-]*$/;
const RESERVED: ReadonlySet<string> = new Set(['AND', 'OR', 'NOT', 'TO']);

function inQuotes(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/** A value after `field:`; anything that is not plainly a word or a number goes in quotes, where it is literal. */
export function quoteValue(value: string): string {
  return PLAIN_VALUE.test(value) && !RESERVED.has(value) ? value : inQuotes(value);
}

export function quoteField(name: string): string {
  return PLAIN_FIELD.test(name) && !RESERVED.has(name) ? name : inQuotes(name);
}

/** The text of a name or value as it stands in a query, without its quotes. */
export function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  const body = text.endsWith('"') && text.length > 1 ? text.slice(1, -1) : text.slice(1);
  return body.replace(/\\(["\\])/g, '$1');
}
