/** The parts of a query that all must hold: what facets show as chosen and what clicks can take away again. */
import { type Token, tokenize } from '@/lib/query/lexer';
import { unquote } from '@/lib/query/quote';

export interface Clause {
  from: number;
  to: number;
  negated: boolean;
  /** Set for `field:value` and `field:(a OR b)` with literal values only. */
  filter: { field: string; values: string[] } | undefined;
}

export interface Clauses {
  clauses: Clause[];
  /** With an `OR` outside of parentheses no clause must hold by itself, so none can be edited. */
  hasOr: boolean;
}

export function parseClauses(query: string): Clauses {
  const tokens = tokenize(query);
  const clauses: Clause[] = [];
  let hasOr = false;
  let at = 0;
  while (at < tokens.length) {
    const token = tokens[at];
    if (token?.kind === 'keyword' && token.text !== 'NOT') {
      hasOr ||= token.text === 'OR';
      at += 1;
      continue;
    }
    const end = clauseEnd(tokens, at);
    const clause = toClause(tokens.slice(at, end));
    if (clause) clauses.push(clause);
    at = end;
  }
  return { clauses, hasOr };
}

/** Index behind the clause that begins at `start`: negations, then a field with its value, a group or one term. */
function clauseEnd(tokens: Token[], start: number): number {
  let at = start;
  while (isNegation(tokens[at])) at += 1;
  if (tokens[at]?.kind === 'field') {
    at += 1;
    if (tokens[at]?.kind === 'operator') at += 1;
    const operator = tokens[at - 1];
    const value = tokens[at];
    // A value stands next to its operator; after a gap it is a term of its own.
    if (operator === undefined || value === undefined || value.from !== operator.to) return at;
  }
  return tokens[at]?.text === '(' ? groupEnd(tokens, at) : Math.max(at + 1, start + 1);
}

function groupEnd(tokens: Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at += 1) {
    const text = tokens[at]?.kind === 'paren' ? tokens[at]?.text : '';
    if (text === '(') depth += 1;
    if (text === ')') depth -= 1;
    if (depth === 0) return at + 1;
  }
  return tokens.length;
}

function isNegation(token: Token | undefined): boolean {
  return token?.kind === 'not' || (token?.kind === 'keyword' && token.text === 'NOT');
}

function toClause(tokens: Token[]): Clause | undefined {
  const first = tokens[0];
  const last = tokens[tokens.length - 1];
  if (first === undefined || last === undefined) return undefined;
  const negations = tokens.filter(isNegation).length;
  const rest = tokens.filter((token) => !isNegation(token));
  const values = filterValues(rest);
  const field = rest[0];
  const filter = values && field && negations <= 1 ? { field: unquote(field.text), values } : undefined;
  return { from: first.from, to: last.to, negated: negations % 2 === 1, filter };
}

function filterValues(tokens: Token[]): string[] | undefined {
  const [field, operator, ...rest] = tokens;
  if (field?.kind !== 'field' || operator?.text !== ':' || rest.length === 0) return undefined;
  if (rest.length === 1) return rest.every(isLiteral) ? rest.map((token) => unquote(token.text)) : undefined;
  const inner = rest.slice(1, -1);
  const alternates = inner.every((token, index) =>
    index % 2 === 0 ? isLiteral(token) : token.text === 'OR',
  );
  if (rest[0]?.text !== '(' || rest.at(-1)?.text !== ')' || inner.length % 2 === 0 || !alternates)
    return undefined;
  return inner.filter((_, index) => index % 2 === 0).map((token) => unquote(token.text));
}

function isLiteral(token: Token): boolean {
  if (token.kind === 'string') return true;
  return token.kind === 'value' && !token.text.includes('*');
}
