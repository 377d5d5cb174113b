/** The texts that a query looks for in messages, for marking them in rows. */
import { parseClauses } from '@/lib/query/clauses';
import { tokenize } from '@/lib/query/lexer';
import { unquote } from '@/lib/query/quote';

const TERMS_MAX = 20;

/** Matches every searched text, ignoring case; undefined when the query searches for none. */
export function highlightPattern(query: string): RegExp | undefined {
  const negated = parseClauses(query).clauses.filter((clause) => clause.negated);
  const terms = tokenize(query)
    .filter((token) => token.kind === 'word' || token.kind === 'string')
    .filter((token) => !negated.some((clause) => token.from >= clause.from && token.to <= clause.to))
    .filter((token) => !/[:<>=(]$/.test(query.slice(0, token.from)))
    .map((token) => unquote(token.text).replace(/^\*+|\*+$/g, ''))
    .filter((term) => term.length > 1 && !term.includes('*'))
    .slice(0, TERMS_MAX);
  if (terms.length === 0) return undefined;
  const sources = terms.map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(sources.join('|'), 'gi');
}

/** The text cut into pieces, every second one a match. */
export function splitMatches(text: string, pattern: RegExp): string[] {
  const pieces: string[] = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    pieces.push(text.slice(at, match.index), match[0]);
    at = match.index + match[0].length;
  }
  pieces.push(text.slice(at));
  return pieces;
}
