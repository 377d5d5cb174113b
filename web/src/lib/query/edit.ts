/** Editing a query text by clicks. What the user wrote stays as it is, but for the clause that changes. */
import { type Clause, parseClauses } from '@/lib/query/clauses';
import { quoteField, quoteValue } from '@/lib/query/quote';

export type FilterState = 'included' | 'excluded' | 'none';

/** Whether a value of a field is filtered for, excluded, or neither. */
export function filterState(query: string, field: string, value: string): FilterState {
  const { clauses, hasOr } = parseClauses(query);
  if (hasOr) return 'none';
  const found = clauses.find((clause) => holdsValue(clause, field, value));
  if (found === undefined) return 'none';
  return found.negated ? 'excluded' : 'included';
}

/** Filters for a value, as an alternative to the values of this field that are filtered for already. */
export function includeValue(query: string, field: string, value: string): string {
  const base = filterState(query, field, value) === 'excluded' ? removeValue(query, field, value) : query;
  if (filterState(base, field, value) === 'included') return base;
  const { clauses, hasOr } = parseClauses(base);
  const existing = hasOr ? undefined : clauses.find((clause) => isFilterOf(clause, field) && !clause.negated);
  if (existing?.filter === undefined) return appendClause(base, clauseText(field, [value], false));
  return splice(base, existing, clauseText(field, [...existing.filter.values, value], false));
}

/** Leaves records with this value out. */
export function excludeValue(query: string, field: string, value: string): string {
  const base = filterState(query, field, value) === 'included' ? removeValue(query, field, value) : query;
  if (filterState(base, field, value) === 'excluded') return base;
  return appendClause(base, clauseText(field, [value], true));
}

/** Takes the value out of the filter that names it, and the filter away with its last value. */
export function removeValue(query: string, field: string, value: string): string {
  const { clauses, hasOr } = parseClauses(query);
  const clause = hasOr ? undefined : clauses.find((item) => holdsValue(item, field, value));
  if (clause?.filter === undefined) return query;
  const rest = clause.filter.values.filter((item) => !sameValue(field, item, value));
  if (rest.length === 0) return cut(query, clause);
  return splice(query, clause, clauseText(field, rest, clause.negated));
}

/** Filters for this one value in place of all other filters of the field. */
export function onlyValue(query: string, field: string, value: string): string {
  return includeValue(removeField(query, field), field, value);
}

/** Takes away every filter of the field. */
export function removeField(query: string, field: string): string {
  let text = query;
  for (;;) {
    const { clauses, hasOr } = parseClauses(text);
    const clause = hasOr ? undefined : clauses.find((item) => isFilterOf(item, field));
    if (clause === undefined) return text;
    text = cut(text, clause);
  }
}

/** Adds a clause that must hold too; alternatives at the top are put in parentheses first. */
export function appendClause(query: string, clause: string): string {
  const trimmed = query.trim();
  if (trimmed === '' || trimmed === '*') return clause;
  return parseClauses(trimmed).hasOr ? `(${trimmed}) ${clause}` : `${trimmed} ${clause}`;
}

export function clauseText(field: string, values: string[], negated: boolean): string {
  const quoted = values.map(quoteValue);
  const value = quoted.length === 1 ? quoted[0] : `(${quoted.join(' OR ')})`;
  return `${negated ? '-' : ''}${quoteField(field)}:${value}`;
}

function isFilterOf(clause: Clause, field: string): boolean {
  return clause.filter?.field === field;
}

function holdsValue(clause: Clause, field: string, value: string): boolean {
  return (
    isFilterOf(clause, field) && (clause.filter?.values ?? []).some((item) => sameValue(field, item, value))
  );
}

function sameValue(field: string, a: string, b: string): boolean {
  return field === 'level' ? a.toLowerCase() === b.toLowerCase() : a === b;
}

function splice(query: string, clause: Clause, text: string): string {
  return query.slice(0, clause.from) + text + query.slice(clause.to);
}

/** Removes a clause together with the `AND` that tied it to one of its neighbours. */
function cut(query: string, clause: Clause): string {
  const before = query.slice(0, clause.from).trimEnd();
  const after = query.slice(clause.to).trimStart();
  const left = before.replace(/(^|\s)AND$/, '');
  const right = left === before ? after.replace(/^AND(?=\s|$)/, '') : after;
  return `${left.trim()} ${right.trim()}`.trim();
}
