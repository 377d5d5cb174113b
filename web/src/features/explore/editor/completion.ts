/** Completion of field names, of values after `field:`, and of the operator words. */
import type {
  Completion,
  CompletionContext,
  CompletionResult,
  CompletionSource,
} from '@codemirror/autocomplete';
import type { ValueCount } from '@/features/explore/api/field-values';
import type { FieldInfo } from '@/features/explore/api/fields';
import { formatCompact } from '@/lib/format';
import { tokenize } from '@/lib/query/lexer';
import { quoteField, quoteValue, unquote } from '@/lib/query/quote';

export interface CompletionData {
  fields: () => Promise<FieldInfo[]>;
  values: (field: string) => Promise<ValueCount[]>;
}

/** What is being typed at the cursor. */
export type Spot =
  | { kind: 'value'; field: string; from: number; typed: string }
  | { kind: 'term'; from: number; typed: string };

const KEYWORDS: readonly Completion[] = ['AND', 'OR', 'NOT'].map((label) => ({
  label,
  type: 'keyword',
  boost: -50,
}));

export function completionSource(data: () => CompletionData): CompletionSource {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const spot = spotAt(context.state.doc.toString(), context.pos);
    if (spot === undefined) return null;
    try {
      return spot.kind === 'value'
        ? { from: spot.from, options: await valueOptions(data(), spot.field), validFor: /^[^\s()]*$/ }
        : await termResult(data(), spot, context.explicit);
    } catch {
      // No completion is no failure: the search itself will say what is wrong.
      return null;
    }
  };
}

/** Undefined inside of quotes of a text, regular expressions and ranges. */
export function spotAt(text: string, pos: number): Spot | undefined {
  const tokens = tokenize(text.slice(0, pos));
  const last = tokens.at(-1);
  if (last === undefined || last.to < pos) return { kind: 'term', from: pos, typed: '' };
  const operatorAt = tokens.findLastIndex((token) => token.kind === 'operator');
  const operator = tokens[operatorAt];
  const field = tokens[operatorAt - 1];
  const isValue = last === operator || (operator !== undefined && operator.to === last.from);
  if (isValue && operator && field?.kind === 'field' && (last === operator || last.kind !== 'range')) {
    if (last.kind === 'regex') return undefined;
    return {
      kind: 'value',
      field: unquote(field.text),
      from: operator.to,
      typed: text.slice(operator.to, pos),
    };
  }
  if (last.text === '-') return { kind: 'term', from: pos, typed: '' };
  if (last.kind === 'word' || last.kind === 'keyword')
    return { kind: 'term', from: last.from, typed: last.text };
  return last.text === '(' ? { kind: 'term', from: pos, typed: '' } : undefined;
}

async function valueOptions(data: CompletionData, field: string): Promise<Completion[]> {
  const values = await data.values(field);
  return values.flatMap(({ value, count }, index) =>
    value === null
      ? []
      : [
          {
            label: quoteValue(value),
            displayLabel: value.length > 80 ? `${value.slice(0, 80)}…` : value,
            detail: formatCompact(count),
            type: 'value',
            boost: -index,
          },
        ],
  );
}

async function termResult(
  data: CompletionData,
  spot: Spot,
  explicit: boolean,
): Promise<CompletionResult | null> {
  if (spot.typed === '' && !explicit) return null;
  const fields = await data.fields();
  const options = fields.map((field, index) => ({
    label: `${quoteField(field.name)}:`,
    displayLabel: field.name,
    detail: `${field.type} ${Math.round(field.coverage * 100)}%`,
    type: 'field',
    boost: -Math.min(index, 40),
  }));
  return { from: spot.from, options: [...options, ...KEYWORDS], validFor: /^[\w.@/-]*$/ };
}
