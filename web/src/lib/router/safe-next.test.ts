import { expect, it } from 'vitest';
import { safeNext } from '@/lib/router/safe-next';

it.each([
  ['/?q=a', '/?q=a'],
  ['/status', '/status'],
  ['//evil.example', '/'],
  ['/\\evil.example', '/'],
  ['https://evil.example', '/'],
  ['javascript:alert(1)', '/'],
  ['/sign-in?next=/', '/'],
  [undefined, '/'],
])('after sign-in %s leads to %s', (next, expected) => expect(safeNext(next)).toBe(expected));
