import { describe, expect, it } from 'vitest';
import { tokenize } from '@/lib/query/lexer';

const kinds = (text: string) => tokenize(text).map((token) => `${token.kind} ${token.text}`);

describe('tokenize', () => {
  it('reads words, texts and regular expressions', () => {
    expect(kinds('timeout "conn reset" /re.*ex\\/x/')).toEqual([
      'word timeout',
      'string "conn reset"',
      'regex /re.*ex\\/x/',
    ]);
  });

  it('reads fields with every kind of value', () => {
    expect(kinds('a:b c>=1 "x y":"z" d:/re/ e:[1 TO 2] f:{* TO 3}')).toEqual([
      'field a',
      'operator :',
      'value b',
      'field c',
      'operator >=',
      'value 1',
      'field "x y"',
      'operator :',
      'string "z"',
      'field d',
      'operator :',
      'regex /re/',
      'field e',
      'operator :',
      'range [1 TO 2]',
      'field f',
      'operator :',
      'range {* TO 3}',
    ]);
  });

  it('knows values inside of a group from words outside', () => {
    expect(kinds('service:(a OR "b c") d')).toEqual([
      'field service',
      'operator :',
      'paren (',
      'value a',
      'keyword OR',
      'string "b c"',
      'paren )',
      'word d',
    ]);
  });

  it('tells a minus that negates from one inside of a word', () => {
    expect(kinds('-a b-c - NOT d')).toEqual([
      'not -',
      'word a',
      'word b-c',
      'word -',
      'keyword NOT',
      'word d',
    ]);
  });

  it('takes only upper-case words of their own as operators', () => {
    expect(kinds('and ORDER AND x')).toEqual(['word and', 'word ORDER', 'keyword AND', 'word x']);
  });

  it.each(['"open', 'a:"open', 'a:', 'a:(b', ')', '((', 'a:[1 TO', '/x', ':', '>=1', '\\', 'a::b', '💥:💥'])(
    'covers the unfinished text %s without gaps or overlaps',
    (text) => {
      const tokens = tokenize(text);
      let at = 0;
      for (const token of tokens) {
        expect(text.slice(at, token.from).trim()).toBe('');
        expect(token.to).toBeGreaterThan(token.from);
        at = token.to;
      }
      expect(at).toBe(text.trimEnd().length);
    },
  );
});
