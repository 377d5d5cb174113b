import { expect, it } from 'vitest';
import { spotAt } from '@/features/explore/editor/completion';
import { problemSpan } from '@/features/explore/editor/problem';

it.each([
  ['', { kind: 'term', from: 0, typed: '' }],
  ['ser', { kind: 'term', from: 0, typed: 'ser' }],
  ['a ser', { kind: 'term', from: 2, typed: 'ser' }],
  ['service:', { kind: 'value', field: 'service', from: 8, typed: '' }],
  ['x service:sh', { kind: 'value', field: 'service', from: 10, typed: 'sh' }],
  ['"http status":2', { kind: 'value', field: 'http status', from: 14, typed: '2' }],
  ['-', { kind: 'term', from: 1, typed: '' }],
  ['"some te', undefined],
  ['a:[1 TO', undefined],
])('completes %s', (text, expected) => {
  expect(spotAt(text, text.length)).toEqual(expected);
});

it('underlines the token at the position, counted in characters', () => {
  expect(problemSpan('a status:[x TO 2] b', 9)).toEqual({ from: 9, to: 17 });
  expect(problemSpan('💥 (a', 2)).toEqual({ from: 3, to: 4 });
});

it('underlines the end of a query that ended too early', () => {
  expect(problemSpan('level:', 6)).toEqual({ from: 5, to: 6 });
  expect(problemSpan('', 0)).toBeUndefined();
});
