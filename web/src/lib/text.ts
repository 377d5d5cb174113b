/** Making untrusted text safe to look at: control characters shown, huge texts cut. */

/** Characters of a message that a table row draws at most. */
export const ROW_CHARS_MAX = 600;
/** Characters of a value that the detail panel draws before "show all". */
export const DETAIL_CHARS_MAX = 8_000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes of terminals begin with ESC
const ANSI_STYLE = /\u001b\[[0-9;:]*m/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
/** Direction overrides and invisible characters, which can make a line read as something else. */
const INVISIBLE = /[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Control characters by name (`‹ESC›`), invisible ones by code (`‹U+202E›`); line feeds and tabs stay. */
export function visible(text: string): string {
  return text.replace(CONTROL, controlName).replace(INVISIBLE, codePoint);
}

/** One line for a table row: cut, without terminal colours, line breaks as `↵`. */
export function rowText(text: string): string {
  const cut = text.length > ROW_CHARS_MAX ? `${text.slice(0, ROW_CHARS_MAX)}…` : text;
  return visible(cut.replace(ANSI_STYLE, '').replace(/\r?\n/g, ' ↵ ').replace(/\t/g, '  '));
}

/** The server words its errors as parts of a sentence: with a capital and a full stop they can stand in a row. */
export function sentence(text: string): string {
  const stop = text === '' || /[.!?…]$/.test(text) ? '' : '.';
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${stop}`;
}

/** Any value as one line of text; objects and arrays as JSON. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined) return '';
  return JSON.stringify(value) ?? '';
}

/** The names of the first 32 control characters, by code; fonts often lack their pictures. */
const CONTROL_NAMES =
  'NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(
    ' ',
  );

function controlName(char: string): string {
  const name = CONTROL_NAMES[char.charCodeAt(0)];
  return name === undefined ? codePoint(char) : `‹${name}›`;
}

function codePoint(char: string): string {
  return `‹U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}›`;
}
