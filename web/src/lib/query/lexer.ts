/**
 * Splits a query text into tokens for colouring, completion and editing. It never fails: the server's parser
 * is the judge of a query, this one only has to find the same pieces in a good one.
 */

export type TokenKind =
  | 'word'
  | 'string'
  | 'regex'
  | 'field'
  | 'operator'
  | 'value'
  | 'range'
  | 'keyword'
  | 'not'
  | 'paren';

export interface Token {
  kind: TokenKind;
  from: number;
  to: number;
  text: string;
}

const FIELD_NAME = /[A-Za-z0-9_.@/-]+(?=:|>=|<=|>|<)/y;
const OPERATOR = /:|>=|<=|>|</y;
const KEYWORD = /(?:AND|OR|NOT)(?=[\s()]|$)/y;
const SPACE = /\s+/y;
const BARE_WORD = /[^\s()"]+/y;
const BARE_VALUE = /[^\s()]+/y;
const STRING = /"(?:\\[\s\S]|[^"\\])*(?:"|$)/y;
const REGEX = /\/(?:\\[\s\S]|[^/\\])*(?:\/|$)/y;
const RANGE = /[[{][^\]}]*(?:[\]}]|$)/y;

class Lexer {
  readonly tokens: Token[] = [];
  private at = 0;
  /** Depth of parentheses inside `field:( … )`, where words are values; 0 outside of one. */
  private valueDepth = 0;

  constructor(private readonly text: string) {}

  run(): Token[] {
    while (this.at < this.text.length) {
      if (!this.skipSpace()) this.term();
    }
    return this.tokens;
  }

  private skipSpace(): boolean {
    const space = this.match(SPACE);
    if (space !== undefined) this.at += space.length;
    return space !== undefined;
  }

  private term(): void {
    const char = this.text[this.at];
    if (char === '(' || char === ')') this.parenthesis(char);
    else if (this.take(KEYWORD, 'keyword')) return;
    else if (this.valueDepth > 0) this.value();
    else if (char === '-' && /[^\s)]/.test(this.text[this.at + 1] ?? '')) this.push('not', 1);
    else if (this.take(FIELD_NAME, 'field')) this.afterField();
    else if (char === '"') this.quoted();
    else if (char !== '/' || !this.take(REGEX, 'regex')) this.word();
  }

  private word(): void {
    if (!this.take(BARE_WORD, 'word')) this.push('word', 1);
  }

  private parenthesis(char: string): void {
    if (this.valueDepth > 0) this.valueDepth += char === '(' ? 1 : -1;
    this.push('paren', 1);
  }

  /** A quoted text is a field's name when an operator follows at once. */
  private quoted(): void {
    const text = this.match(STRING) ?? '"';
    const end = this.at + text.length;
    OPERATOR.lastIndex = end;
    const isField = text.length > 2 && OPERATOR.test(this.text);
    this.push(isField ? 'field' : 'string', text.length);
    if (isField) this.afterField();
  }

  private afterField(): void {
    this.take(OPERATOR, 'operator');
    const char = this.text[this.at];
    if (char === undefined || /[\s)]/.test(char)) return;
    if (char === '(') {
      this.valueDepth = 1;
      this.push('paren', 1);
      return;
    }
    this.value();
  }

  private value(): void {
    const char = this.text[this.at];
    if (char === '"' && this.take(STRING, 'string')) return;
    if (char === '/' && this.take(REGEX, 'regex')) return;
    if ((char === '[' || char === '{') && this.take(RANGE, 'range')) return;
    if (!this.take(BARE_VALUE, 'value')) this.push('value', 1);
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0];
  }

  private take(pattern: RegExp, kind: TokenKind): boolean {
    const text = this.match(pattern);
    if (text === undefined) return false;
    this.push(kind, text.length);
    return true;
  }

  private push(kind: TokenKind, length: number): void {
    const to = this.at + length;
    this.tokens.push({ kind, from: this.at, to, text: this.text.slice(this.at, to) });
    this.at = to;
  }
}

export function tokenize(text: string): Token[] {
  return new Lexer(text).run();
}
