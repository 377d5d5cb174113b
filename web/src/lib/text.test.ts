import { expect, it } from 'vitest';
import { ROW_CHARS_MAX, rowText, sentence, valueText, visible } from '@/lib/text';

it('shows control and invisible characters', () => {
  expect(visible('a\u0000b\u001b[2J\u202ec\u200b')).toBe('a‹NUL›b‹ESC›[2J‹U+202E›c‹U+200B›');
  expect(visible('line\n\ttab é 日本')).toBe('line\n\ttab é 日本');
});

it('makes one short line for a row, without terminal colours', () => {
  expect(rowText('\u001b[31mred\u001b[0m\r\nnext\tx')).toBe('red ↵ next  x');
  expect(rowText('x'.repeat(1_000_000)).length).toBe(ROW_CHARS_MAX + 1);
});

it('writes any value as text', () => {
  expect(valueText({ a: [1, null] })).toBe('{"a":[1,null]}');
  expect(valueText(undefined)).toBe('');
  expect(valueText(false)).toBe('false');
});

it('makes a sentence of what the server says', () => {
  expect(sentence('a value is missing')).toBe('A value is missing.');
  expect(sentence('Is devlogs running?')).toBe('Is devlogs running?');
  expect(sentence('')).toBe('');
});
