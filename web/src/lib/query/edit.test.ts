import { describe, expect, it } from 'vitest';
import {
  appendClause,
  excludeValue,
  filterState,
  includeValue,
  onlyValue,
  removeField,
  removeValue,
} from '@/lib/query/edit';

describe('includeValue', () => {
  it.each([
    ['', 'level', 'error', 'level:error'],
    ['*', 'level', 'error', 'level:error'],
    ['timeout', 'service', 'shop-web', 'timeout service:shop-web'],
    ['level:warn', 'level', 'error', 'level:(warn OR error)'],
    ['level:(warn OR info)', 'level', 'error', 'level:(warn OR info OR error)'],
    ['a OR b', 'level', 'error', '(a OR b) level:error'],
    ['-level:error x', 'level', 'error', 'x level:error'],
    ['level:error', 'level', 'ERROR', 'level:error'],
    ['service:a', 'service', 'A', 'service:(a OR A)'],
  ])('%s + %s:%s', (query, field, value, expected) => {
    expect(includeValue(query, field, value)).toBe(expected);
  });

  it.each([
    ['two words', 'f:"two words"'],
    ['say "hi" \\ bye', 'f:"say \\"hi\\" \\\\ bye"'],
    ['AND', 'f:"AND"'],
    ['10.0.0.1', 'f:10.0.0.1'],
    ['/api/v1', 'f:"/api/v1"'],
    ['-5', 'f:"-5"'],
    ['a*b', 'f:"a*b"'],
    ['', 'f:""'],
    ['[1 TO 2]', 'f:"[1 TO 2]"'],
  ])('writes the value %s so that it is literal', (value, expected) => {
    expect(includeValue('', 'f', value)).toBe(expected);
    expect(filterState(expected, 'f', value)).toBe('included');
  });

  it('quotes names with other characters', () => {
    expect(includeValue('', 'http status', '200')).toBe('"http status":200');
    expect(filterState('"http status":200', 'http status', '200')).toBe('included');
  });

  it('adds beside a comparison or wildcard, which are no list of values', () => {
    expect(includeValue('status>=500', 'status', '502')).toBe('status>=500 status:502');
    expect(includeValue('service:shop*', 'service', 'auth')).toBe('service:shop* service:auth');
  });
});

describe('excludeValue', () => {
  it('takes the value out of a filter for it first', () => {
    expect(excludeValue('level:(warn OR error) x', 'level', 'error')).toBe('level:warn x -level:error');
  });

  it('does nothing twice', () => {
    expect(excludeValue('-level:error', 'level', 'error')).toBe('-level:error');
    expect(excludeValue('NOT level:error', 'level', 'error')).toBe('NOT level:error');
  });
});

describe('removing', () => {
  it.each([
    ['a AND level:error AND b', 'a AND b'],
    ['level:error AND b', 'b'],
    ['a AND level:error', 'a'],
    ['a level:error b', 'a b'],
    ['level:error', ''],
    ['NOT level:error b', 'b'],
  ])('%s without its level is %s', (query, expected) => {
    expect(removeField(query, 'level')).toBe(expected);
  });

  it('keeps the other values of a filter', () => {
    expect(removeValue('level:(warn OR error OR info)', 'level', 'error')).toBe('level:(warn OR info)');
  });

  it('leaves alternatives alone, since none of them must hold', () => {
    expect(removeValue('level:error OR b', 'level', 'error')).toBe('level:error OR b');
    expect(filterState('level:error OR b', 'level', 'error')).toBe('none');
  });

  it('does not see filters inside of parentheses or texts', () => {
    expect(removeField('(level:error OR b) "level:error"', 'level')).toBe('(level:error OR b) "level:error"');
  });
});

describe('onlyValue', () => {
  it('replaces every filter of the field', () => {
    expect(onlyValue('x level:(warn OR info) -level:debug', 'level', 'error')).toBe('x level:error');
  });
});

describe('appendClause', () => {
  it('keeps what was written', () => {
    expect(appendClause('  status:[500 TO 599] ', '-level:*')).toBe('status:[500 TO 599] -level:*');
  });
});
